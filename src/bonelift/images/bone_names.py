"""Which of the names or values in a segmentation is the radius and which the ulna."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bonelift.errors import InputError

_PARTS_OF_BONES = {"head", "styloid", "cartilage", "plate", "screw", "marrow", "cortex", "cortical", "notch"}
"""A segment named "ulnar head" or "radius cortex" is not the bone."""


@dataclass(frozen=True)
class BoneLabels:
    """How a segmentation marks the bones.

    radius, ulna: a segment's name, or a label's value; None: the one segment with the bone in its name ("Radius",
    "distal_radius_L", "DistalUlna"), or 1 and 2 in formats without names.
    drop_others: further values are background; False refuses them where no name explains them and the two values are
    not both stated.
    """

    radius: str | int | None = None
    ulna: str | int | None = None
    drop_others: bool = False

    @property
    def choices(self) -> tuple[tuple[str, str | int | None], ...]:
        """(bone, what was said of it) of radius and ulna."""
        return ("radius", self.radius), ("ulna", self.ulna)


def is_bone(bone: str, choice: str | int | None, name: str, value: int) -> bool:
    """Whether the segment ``name`` with ``value`` is the bone: by what was said of it, else by its name."""
    if isinstance(choice, int):
        return value == choice
    if choice is not None:
        return name.strip().lower() == choice.strip().lower()
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return bone in words and not words & _PARTS_OF_BONES


def the_bone(
    bone: str, choice: str | int | None, segments: Sequence[tuple[str, int]], file: str, what: str = "segment"
) -> int:
    """The index of the one among ``segments`` (name, value) that is the bone. Raises InputError: none, or several."""
    matches = [number for number, (name, value) in enumerate(segments) if is_bone(bone, choice, name, value)]
    if len(matches) != 1:
        found = f"no {what} is" if not matches else f"{len(matches)} {what}s are"
        listing = ", ".join(f"{name!r:.40} ({value})" for name, value in segments[:8]) or "none"
        raise InputError(
            f"{file}: {found} the {bone}; its {what}s are {listing}; state --{bone}-label, one of these names or values"
        )
    return matches[0]
