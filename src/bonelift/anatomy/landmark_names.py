"""The landmarks that a study needs, under the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError

Float = NDArray[np.float64]

STYLOID, NOTCH_VOLAR, ULNAR_HEAD = "radial_styloid_tip", "sigmoid_notch_volar", "ulnar_head_centre"

_VOLAR = {"volar", "palmar"}
_ANATOMICAL = {
    "radial", "radius", "ulnar", "ulna", "styloid", "tip", "sigmoid", "notch", "volar", "palmar", "dorsal",
    "rim", "head", "centre", "center", "shaft", "lister", "tubercle", "lunate", "scaphoid", "fossa", "facet",
    "origin", "ridge", "edge", "of", "the", "distal", "proximal", "joint", "line", "pole", "base", "point",
    "neck", "fovea", "corner", "left", "right",
}  # fmt: skip


def named_landmarks(
    landmarks: Mapping[str, Float], source: str, styloid: str | None = None, notch: str | None = None
) -> dict[str, Float]:
    """``landmarks`` with the two that make the radius frame under STYLOID and NOTCH_VOLAR; others keep their labels.

    source: the file, for messages. styloid, notch: the labels in the file; None finds them by their words ("Radial
    styloid", "styloid tip"; "volar edge of sigmoid notch", "notch_palmar"). Raises InputError where one is missing or
    two could be meant.
    """
    chosen = {
        STYLOID: _label(landmarks, source, styloid, "--styloid-label", "the tip of the radial styloid", _is_styloid),
        NOTCH_VOLAR: _label(
            landmarks, source, notch, "--notch-label", "the volar edge of the sigmoid notch", _is_notch_volar
        ),
    }
    heads = [label for label in landmarks if {"ulnar", "head"} <= _words(label) or {"ulna", "head"} <= _words(label)]
    if len(heads) == 1:
        chosen[ULNAR_HEAD] = heads[0]
    taken = {label: name for name, label in chosen.items()}
    return {taken.get(label, label): point for label, point in landmarks.items()}


def without_identity(landmarks: Mapping[str, Float]) -> dict[str, Float]:
    """``landmarks`` with labels of other than anatomical words replaced by "further 1", "further 2".

    Slicer makes labels of the list's name, which may be a patient's.
    """
    named: dict[str, Float] = {}
    for label, point in landmarks.items():
        words = _words(label)
        plain = bool(words) and words <= _ANATOMICAL and not any(c.isdigit() for c in label)
        number = len(named) - sum(not name.startswith("further ") for name in named) + 1
        named[label if plain else f"further {number}"] = point
    return named


def _label(landmarks: Mapping[str, Float], source: str, given: str | None, option: str, what: str, is_it) -> str:
    matches = [label for label in landmarks if (is_it(_words(label)) if given is None else label == given)]
    if len(matches) != 1:
        number = "no landmark is" if not matches else f"{len(matches)} landmarks could be"
        labels = ", ".join(repr(label)[:40] for label in list(landmarks)[:8])
        raise InputError(f"{source}: {number} {what}; it holds {labels}; name it with {option}")
    return matches[0]


def _words(label: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", label)}


def _is_styloid(words: set[str]) -> bool:
    return "styloid" in words and not words & {"ulna", "ulnar"}


def _is_notch_volar(words: set[str]) -> bool:
    return "notch" in words and bool(words & _VOLAR)
