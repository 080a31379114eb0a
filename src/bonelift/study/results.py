"""Results of a study, one folder a case: each says what it was made from, and stands for nothing else.

Every command that writes a folder of results (drr, normalize, register; train for its samples) asks here whether a
result is there. It is there where the same version made it with the same settings from files of the same content,
whatever they are called. A result of the same CT and other labels, landmarks or films is made again. A result of
another CT is another study's: it is refused, since making it again would take that study's result away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonelift import __version__
from bonelift.errors import InputError
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.output_folder import claimed_folder, read_made_from, result_folder
from bonelift.study.fingerprint import MISSING, fingerprint
from bonelift.study.folder import StudyCase, StudyRadiograph

CT = "ct"
MADE_BY = f"bonelift {__version__}"


@dataclass(frozen=True)
class MadeFrom:
    """command: that makes the result. settings: its own. facts: what study.json says of the case and counts (side,
    views). files: role ("ct", "labels", "radiograph 1") -> SHA-256 of the content."""

    command: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    files: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        return {"made_by": MADE_BY, **as_json_gives_it(asdict(self))}


def made_from_case(
    command: str,
    study_folder: Path,
    case: StudyCase,
    settings: Mapping[str, Any],
    *,
    landmarks: bool = False,
    films: bool = False,
    poses: bool = False,
) -> MadeFrom:
    """What ``command`` makes of ``case``: CT and labels always; landmarks, films (with cameras and masks) and the poses
    that the study lists where they count."""
    named: dict[str, str | None] = {CT: case.ct, "labels": case.labels}
    facts: dict[str, Any] = {"case": case.case, "side": case.side}
    if landmarks:
        named["landmarks"] = case.landmarks
    if films:
        facts["radiographs"] = [[entry.view, entry.invert] for entry in case.radiographs]
        for number, entry in enumerate(case.radiographs, start=1):
            named |= _film_files(entry, number, poses)
    files = {role: fingerprint(study_folder / name)["sha256"] for role, name in named.items() if name is not None}
    return MadeFrom(command, settings, facts, files)


def _film_files(entry: StudyRadiograph, number: int, pose: bool) -> dict[str, str | None]:
    named = {
        f"radiograph {number}": entry.file,
        f"camera {number}": entry.camera_file,
        f"mask {number}": entry.mask_file,
    }
    return named | ({f"pose {number}": entry.pose_file} if pose else {})


def made_from_files(command: str, settings: Mapping[str, Any], files: Mapping[str, Path | None]) -> MadeFrom:
    """The same of files that stand in no study: role -> path."""
    return MadeFrom(
        command, settings, {}, {role: fingerprint(p)["sha256"] for role, p in files.items() if p is not None}
    )


@contextmanager
def study_results(
    study_folder: Path, out: Path, settings_file: str, settings: Mapping[str, Any], what: str
) -> Iterator[None]:
    """Hold ``out`` for the results of a study, one folder a case (images.output_folder.claimed_folder).

    Raises InputError: ``out`` lies in the study, holds something else, was begun with other settings or by another
    version, or another process writes into it.
    """
    if out.resolve().is_relative_to(study_folder.resolve()):
        raise InputError(f"{out}: lies inside the study; pass another --out, so that the study stays as it is")
    with claimed_folder(out, settings_file, {**settings, "made_by": MADE_BY}, what):
        yield


def is_made(folder: Path, made_from: MadeFrom) -> bool:
    """Whether ``folder`` holds this result; False where there is none, or one that is to be made again.

    Raises InputError for a result of another CT, and for a folder that does not say what it was made from.
    """
    if not folder.exists():
        return False
    known, wanted = read_made_from(folder), made_from.as_json()
    files = None if known is None else known.get("files")
    if not isinstance(files, dict):
        raise InputError(f"{folder}: does not say what it was made from; remove it, or pass another --out")
    if made_from.files[CT] == MISSING:
        raise InputError(f"{folder}: is there, but the CT that it is to be made from is not; put it back")
    if files.get(CT) != made_from.files[CT]:
        raise InputError(
            f"{folder}: was made from another CT than the study's; pass another --out, or remove that folder"
        )
    return known == wanted


def check_same_study(out: Path, made: Sequence[tuple[str, MadeFrom]]) -> None:
    """Raise InputError, before anything is done, where ``out`` holds a result of another CT. made: by case."""
    for case, made_from in made:
        is_made(out / case, made_from)


@contextmanager
def made_result(folder: Path, made_from: MadeFrom) -> Iterator[Path]:
    """Yields an empty folder that becomes ``folder`` when the block ends without an exception, with what it was made
    from; an earlier result gives way then. Raises InputError where the disk takes no more."""
    with result_folder(folder, made_from.as_json()) as staging:
        yield staging
