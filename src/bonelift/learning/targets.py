"""What can be trained, by name. Imported by the command line, which answers --help without torch."""

from __future__ import annotations

from typing import Literal, get_args

Target = Literal["locator", "pix2pix", "tl", "shape", "tuning"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""In the order in which they are trained: S reads what the generator makes of films; tuning then trains the generator
further, by what S reads."""
