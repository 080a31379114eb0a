"""Bones of a CT registered to radiographs of the same wrist."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bonelift.api.arguments import a_count, a_flag, a_path, an_array, in_python_words, one_of, poses, shown
from bonelift.api.reading import FilePath
from bonelift.errors import InputError
from bonelift.images import LabelMap, Radiograph, Volume
from bonelift.images.masks import read_mask
from bonelift.images.volume_reading import read_ct, read_labels
from bonelift.networks.model import WristModel
from bonelift.registration.ct_bone import check_ct
from bonelift.study.registration.case import (
    BoneChoice,
    FilmInput,
    RegisteredFilm,
    RegistrationOptions,
    StartKind,
    register_case,
)
from bonelift.study.registration.locator_points import locator, points_of

Mask = NDArray[np.integer] | FilePath


@dataclass(frozen=True, eq=False)
class Registration:
    """One bone of a CT found in one radiograph.

    Parameters
    ----------
    radiograph
        Number of the film, from 0.
    bones
        ``"both"`` as one rigid object, ``"radius"`` or ``"ulna"``.
    camera_from_ct
        (4, 4) rigid, mm: the CT's world in the frame of the film's camera. None where nothing was found.
    verdict
        ``"ok"``, ``"turn undecided"`` (about the bone's own axis) or ``"failed"``.
    reason
        Why the verdict is not ``"ok"``; "" where it is.
    trust
        0 to 1, from what the search itself can see.
    similarity
        How alike the edges of bone and film are, -1 to 1; NaN where nothing was found.
    start
        What the search started from.
    """

    radiograph: int
    bones: str
    camera_from_ct: NDArray[np.float64] | None
    verdict: str
    reason: str
    trust: float
    similarity: float
    start: str


@in_python_words
def register(
    ct: Volume | FilePath,
    labels: LabelMap | FilePath,
    radiographs: Radiograph | Sequence[Radiograph],
    *,
    masks: Mask | Sequence[Mask | None] | None = None,
    start: Literal["auto", "landmarks", "outline"] | NDArray[np.floating] = "auto",
    bones: BoneChoice = "both",
    together: bool = False,
    model: WristModel | FilePath | None = None,
    seed: int = 0,
) -> tuple[Registration, ...]:
    """Where the bones of a CT lie in radiographs of the same wrist.

    Parameters
    ----------
    ct
        HU, or its file.
    labels
        Segmentation with radius and ulna on the CT's grid, or its file.
    radiographs
        One film or several, all of the CT's wrist.
    masks
        For each film the bones as drawn on it: an array (rows, columns) of 0, 1 (radius) and 2 (ulna), or a PNG, TIFF
        or NRRD file. Read the film with ``trim=False`` then.
    start
        ``"landmarks"``: found by the model's locator. ``"outline"``: the masks. ``"auto"``: the masks where there are
        some. Or (4, 4) ``camera_from_ct``, rigid, mm, to start from.
    bones
        ``"both"`` as one rigid object, ``"radius"``, ``"ulna"``, or ``"each"`` after both.
    together
        Whether all films are registered at once; their cameras then share a world.
    model
        Model whose locator finds the wrist: what :func:`load_model` gives, its folder, or None for the packaged one.
    seed
        Seed of the search.

    Returns
    -------
    tuple of Registration
        One for each film and bone. A film that fails carries its reason; the others go on.

    Raises
    ------
    InputError
        Wrong types or shapes, grids that differ, films of another side, or files that cannot be read.

    Examples
    --------
    >>> import bonelift
    >>> film = bonelift.read_radiograph("pa.png", side="right", view="pa", camera="pa.json")  # doctest: +SKIP
    >>> found, = bonelift.register("ct.nrrd", "labels.seg.nrrd", film)  # doctest: +SKIP
    >>> found.verdict, found.camera_from_ct  # doctest: +SKIP
    """
    volume = ct if isinstance(ct, Volume) else read_ct(a_path(ct, "ct"))
    segmentation = labels if isinstance(labels, LabelMap) else read_labels(a_path(labels, "labels"))
    check_ct(volume, segmentation)
    films = _films(radiographs)
    kind, pose = _start(start)
    drawn = _masks(masks, films)
    inputs = [
        FilmInput(f"radiograph {number}", film, mask, pose)
        for number, (film, mask) in enumerate(zip(films, drawn, strict=True))
    ]
    options = RegistrationOptions(
        cast("BoneChoice", one_of(bones, "bones", ("both", "radius", "ulna", "each"))),
        kind,
        a_flag(together, "together"),
        a_count(seed, "seed"),
    )
    if model is None or isinstance(model, str | os.PathLike):
        place = None if model is None else a_path(model, "model")
        locate = lambda radiograph: locator(place)(radiograph)  # noqa: E731  (loaded where it is asked)
    else:
        known = model
        locate = lambda radiograph: points_of(radiograph, known)  # noqa: E731
    found = register_case(volume, segmentation, films[0].side, inputs, options, locate)
    return tuple(row for number, film in enumerate(found) for row in _rows(number, film))


def _rows(number: int, film: RegisteredFilm) -> list[Registration]:
    if not film.bones:
        return [Registration(number, "", None, "failed", film.reason, 0.0, float("nan"), film.start)]
    return [
        Registration(
            number,
            bone.part,
            bone.camera_from_ct,
            bone.verdict.kind,
            bone.verdict.reason,
            bone.verdict.trust,
            bone.found.pose.similarity,
            film.start,
        )
        for bone in film.bones
    ]


def _films(given: object) -> list[Radiograph]:
    films: list[Radiograph] = []
    for film in cast("list[object]", given if isinstance(given, list | tuple) else [given]):
        if not isinstance(film, Radiograph):
            raise InputError(f"radiographs holds {shown(film)}; expected what bonelift.read_radiograph gives")
        films.append(film)
    if not films:
        raise InputError("radiographs is empty; expected at least one film")
    if len({film.side for film in films}) > 1:
        raise InputError("radiographs are of a left and a right wrist; expected the wrist of the CT alone")
    return films


def _start(given: object) -> tuple[StartKind, NDArray[np.float64] | None]:
    if isinstance(given, str):
        return cast("StartKind", one_of(given, "start", ("auto", "landmarks", "outline"))), None
    stack, single = poses(given, "start")
    if not single:
        raise InputError(f"start has shape {stack.shape}; expected (4, 4)")
    return "pose", stack[0]


def _masks(given: Any, films: Sequence[Radiograph]) -> list[NDArray[np.uint8] | None]:
    if given is None:
        return [None] * len(films)
    masks = list(given) if isinstance(given, list | tuple) else [given]
    if len(masks) != len(films):
        raise InputError(f"masks has {len(masks)} entries for {len(films)} films; expected one for each, or None")
    found: list[NDArray[np.uint8] | None] = []
    for mask, film in zip(masks, films, strict=True):
        if mask is None:
            found.append(None)
            continue
        if not isinstance(mask, np.ndarray):
            mask = read_mask(a_path(mask, "mask"))
        drawn = an_array(mask, "mask", "(rows, columns)", 2)
        if drawn.shape != film.pixels.shape:
            raise InputError(
                f"a mask has shape {drawn.shape}, its film {film.pixels.shape}; read the film with trim=False, as the "
                "mask was drawn on the image as recorded"
            )
        found.append(drawn.astype(np.uint8))
    return found
