"""The bases of radius and ulna that a training writes shapes in: made from its own training patients, or the packaged
model's.

Principal modes need more patients than modes. Where a cohort has too few, the packaged bases, which come from virtual
patients, describe its bones better than a handful of modes would; that is said in ``basis.json`` and in the model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from bonelift.anatomy.shape_basis import BoneBasis, basis_arrays, basis_from_arrays, fit_basis
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.images.volume import BONES
from bonelift.learning.samples import SurfaceSamples, load_samples
from bonelift.learning.shape_regression import Bases
from bonelift.networks.model_files import DEFAULT_MODEL, read_bases, read_config, read_weights
from bonelift.storage.whole import whole_file, whole_folder, write_whole

FACTS_FILE = "basis.json"


@dataclass(frozen=True)
class BasisChoice:
    """origin: "own": modes of the training patients; "packaged": the packaged model's; "auto": own where there are more
    training patients than modes, else the packaged model's. modes: of each bone, for own ones."""

    modes: int
    origin: Literal["auto", "own", "packaged"] = "auto"

    def __post_init__(self) -> None:
        if self.modes < 1:
            raise InputError(f"shape basis: {self.modes} modes; expected 1 or more")

    def is_own(self, bones: int) -> bool:
        """Whether ``bones`` of training patients make their own bases. Raises InputError where they were asked for and
        are too few."""
        if self.origin == "own" and bones <= self.modes:
            fewer = f"--modes {bones - 1} or " if bones > 1 else ""
            raise InputError(
                f"shape basis: {bones} patients' bones to train on; {self.modes} modes need {self.modes + 1}; pass "
                f"{fewer}--basis packaged"
            )
        return self.origin != "packaged" and bones > self.modes


def make_bases(folder: Path, surfaces: Path, choice: BasisChoice) -> Bases:
    """The bases in ``folder``; where there are none, they are made of the SurfaceSamples in ``surfaces``.

    Raises InputError: see BasisChoice, and where the folder was made by another choice.
    """
    if (folder / FACTS_FILE).is_file():
        if basis_facts(folder).choice != asdict(choice):
            raise InputError(f"{folder}: was made with other --modes or --basis; pass another run folder or delete it")
        return read_basis_folder(folder)
    held = load_samples(surfaces, SurfaceSamples)
    count = len(held.radius)
    own = choice.is_own(count)
    bases = fit_bases(held.radius, held.ulna, choice.modes) if own else packaged_bases()
    if own:
        origin = f"the {count} bones of the training patients"
    elif choice.origin == "packaged":
        origin = "the packaged model"
    else:
        origin = f"the packaged model: {count} bones are too few for {choice.modes} modes of their own"
    write_basis_folder(folder, bases, {"choice": asdict(choice), "origin": origin})
    return bases


def fit_bases(radius: NDArray[np.floating], ulna: NDArray[np.floating], modes: int) -> Bases:
    """From corresponding points (P, V, 3), (P, W, 3) of the shape model's templates, mm in the radius frame."""
    model = load_shape_model()
    return (
        fit_basis(radius, model.radius.mean.faces, modes),
        fit_basis(ulna, model.ulna.mean.faces, modes),
    )


def packaged_bases() -> Bases:
    """Those of the model that comes with the package."""
    config = read_config(DEFAULT_MODEL)
    bases = read_bases(config, read_weights(DEFAULT_MODEL, config, load))
    return bases["radius"], bases["ulna"]


def write_basis_folder(folder: Path, bases: Sequence[BoneBasis], facts: dict[str, object]) -> None:
    """radius.npz, ulna.npz and basis.json with ``facts``; the folder appears whole."""
    with whole_folder(folder, "replace") as staging:
        for bone, basis in zip(BONES, bases, strict=True):
            with whole_file(staging / f"{bone}.npz") as partial, partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **basis_arrays(basis))
        modes = {bone: len(basis.modes) for bone, basis in zip(BONES, bases, strict=True)}
        write_whole(staging / FACTS_FILE, json.dumps({**facts, "modes": modes}, indent=1) + "\n")


def read_basis_folder(folder: Path) -> Bases:
    """What :func:`write_basis_folder` wrote. Raises InputError where it cannot be read."""
    try:
        read = [basis_from_arrays(np.load(folder / f"{bone}.npz", allow_pickle=False)) for bone in BONES]
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no bases of both bones ({error}); delete it to make them again") from error
    return cast(Bases, tuple(read))


@dataclass(frozen=True)
class BasisFacts:
    """choice: what was asked for. origin: in words, what the bases were made of. modes: of each bone."""

    choice: dict[str, object]
    origin: str
    modes: dict[str, int]


def basis_facts(folder: Path) -> BasisFacts:
    """Of the bases in ``folder``. Raises InputError where they cannot be read."""
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        return BasisFacts(dict(facts["choice"]), str(facts["origin"]), dict(facts["modes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: bases of another version ({error}); delete it to make them again") from error
