"""Sentences of the command line name the fields of the page."""

from __future__ import annotations

import pytest

from bonelift.serve.sentences import for_the_page


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("this looks like a lateral; pass --view lateral if that is so", "set View lateral if that is so"),
        ("so millimetres are unknown; pass --pixel-spacing-mm", "set Pixel spacing"),
        ("correct the one in error, or pass --overrule-header", 'or tick "the header is wrong"'),
        ("behind the detector: --source-to-object-mm 1200", "Source to wrist 1200"),
        ("pass a smaller image", "pass a smaller image"),
    ],
)
def test_options_become_fields(said: str, shown: str) -> None:
    assert for_the_page(said).endswith(shown)
    assert "--" not in for_the_page(said)
