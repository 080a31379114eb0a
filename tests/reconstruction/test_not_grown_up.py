"""A film whose file says that its patient was a child, or an adolescent, is flagged whatever the picture looks like."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bonelift.networks.model import load_model
from bonelift.origin import Origin
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import reconstruct


@pytest.mark.parametrize(
    ("under", "severity", "words"),
    [(15.0, "severe", "under 15 years old: the model knows no bones"), (18.0, "warning", "growth plates may be open")],
)
def test_the_age_is_a_flag_of_its_own(under: float, severity: str, words: str):
    (film,) = read_radiographs([load_demo_case().image])
    facts = {**film.provenance, "patient_age": Origin("recorded", f"under {under:.0f} years, by test", under)}
    quality = reconstruct([replace(film, provenance=facts)], load_model()).quality
    assert [flag.severity for flag in quality.flags if words in flag.text] == [severity]
    assert (quality.verdict == "not usable") == (severity == "severe")
