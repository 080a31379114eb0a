"""The packaged model, from the packaged film to the measurements, gives the numbers that are kept of it."""

from __future__ import annotations

import json

from builders.golden import KEPT, TOLERANCES, values_now

REMAKE = "python scripts/golden_values.py --write"


def test_the_packaged_model_gives_the_numbers_that_are_kept() -> None:
    """Of another model there are other numbers: the message says how to keep them."""
    kept, now = json.loads(KEPT.read_text(encoding="utf-8")), values_now()
    assert now["weights_sha256"] == kept["weights_sha256"], f"another model was packaged; look, then run {REMAKE}"
    assert now["values"].keys() == kept["values"].keys(), f"other numbers are told; look, then run {REMAKE}"
    apart = {
        name: (value, kept["values"][name])
        for name, (value, unit) in now["values"].items()
        if [unit] != kept["values"][name][1:] or abs(value - kept["values"][name][0]) > TOLERANCES[unit]
    }
    assert not apart
