"""``bonelift import``: a lab's own files as cases of a study folder.

Each case appears whole or not at all (study.importing_case reads and writes it).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError, OutputPlaceError
from bonelift.images.volume_reading import read_volume
from bonelift.storage.folder_lock import held_folder
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.whole import whole_folder, writing
from bonelift.study.case_names import SPELLED_ALIKE, spelled_alike
from bonelift.study.folder import CASE_FILE, STUDY_FILE, Study, StudyCase, case_from_entry, read_study, write_study
from bonelift.study.importing_case import (
    FilmError,
    ImportSettings,
    ct_digest,
    source_digest,
    write_case,
)
from bonelift.study.importing_sources import CaseSource
from bonelift.study.importing_table import in_columns

IMPORT_ORIGIN = "bonelift import"


@dataclass(frozen=True)
class ImportReport:
    """study: as it is now. imported, redone, kept: case names; redone ones were there, made from other files or
    options. failed: case -> reason. notes: what an imported case was made without, in words."""

    study: Study
    imported: tuple[str, ...] = ()
    redone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def import_cases(
    folder: Path,
    sources: Sequence[CaseSource],
    settings: ImportSettings,
    on_case: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Add ``sources`` to the study in ``folder``, which is made where it does not exist.

    A case that was imported from the same files is kept, so an interrupted import goes on. One whose files, options or
    facts have changed since is made again. A case that fails leaves what was there and is reported with its reason; the
    others are imported. Raises InputError before anything is written: a case named twice, a folder that holds
    something else, a study of other voxels. Where no case at all could be imported, a new folder is removed again.
    on_case: called with each case's name when it is done, failed ones too.
    """
    _study_to_extend(folder, sources, settings)
    with held_folder(folder, "--out"):
        # Again: another import may have ended in between.
        study = _study_to_extend(folder, sources, settings)
        return _import_all(folder, study, sources, settings, on_case)


def _import_all(
    folder: Path, study: Study, sources: Sequence[CaseSource], settings: ImportSettings, on_case: Callable[[str], None]
) -> ImportReport:
    done: dict[str, list[str]] = {"imported": [], "redone": [], "kept": []}
    failed, notes = {}, []
    for source in sources:
        try:
            check_beside(study, folder, source)
            was_there = (folder / source.case).exists()
            case, facts = _imported_case(folder, source, settings)
        except OutputPlaceError:
            raise
        except InputError as error:
            failed[source.case] = _reason(source, error)
            on_case(source.case)
            continue
        kind = "kept" if facts is None else "redone" if was_there else "imported"
        done[kind].append(source.case)
        notes += [f"{source.case}: {note}" for note in _notes(facts or {}, kind)]
        names = [c.case for c in study.cases]
        cases = (
            [*study.cases, case]
            if case.case not in names
            else [c if c.case != case.case else case for c in study.cases]
        )
        study = Study(tuple(cases), study.origin or IMPORT_ORIGIN)
        with writing(folder):
            write_study(folder, study)
        on_case(source.case)
    imported, redone, kept = (tuple(done[kind]) for kind in ("imported", "redone", "kept"))
    return ImportReport(study, imported, redone, kept, failed, tuple(notes))


def _reason(source: CaseSource, error: InputError) -> str:
    """One line: where in the table, which case, what is wrong."""
    text = f"case {source.case}: {' '.join(str(error).split())}"
    if source.line is None:
        return text
    line = error.line if isinstance(error, FilmError) else source.line
    return f"line {line}: {in_columns(text)}"


def _notes(facts: dict[str, Any], kind: str) -> list[str]:
    ct = facts.get("ct", {})
    notes = ["made again, since its files, facts or options have changed"] if kind == "redone" else []
    notes += [
        f"{count} files of the CT's folder passed over: {why}" for why, count in ct.get("passed_over", {}).items()
    ]
    if "padding_share" in ct:
        notes.append(f"{100 * ct['padding_share']:.0f} % of the CT is padding outside of the field of view, now air")
    notes += facts.get("doubts", [])
    if facts.get("landmarks", {}).get("origin", "given") != "given":
        notes.append("its landmarks were found automatically; look at them in the picture that bonelift check writes")
    return notes


def _study_to_extend(folder: Path, sources: Sequence[CaseSource], settings: ImportSettings) -> Study:
    """The study in ``folder``, or an empty one; every check of the whole that needs no image."""
    names = [source.case.casefold() for source in sources]
    twice = next((source.case for source in sources if names.count(source.case.casefold()) > 1), None)
    if twice is not None:
        raise InputError(f"case {twice}: is given twice; expected each case once, with all its radiographs")
    if not folder.exists():
        return Study((), "")
    if not (folder / STUDY_FILE).is_file():
        # Hidden folders and whole cases are what an import that was killed leaves.
        if not folder.is_dir() or any(p.name[0] != "." and not (p / CASE_FILE).is_file() for p in folder.iterdir()):
            raise InputError(f"{folder}: is not empty and holds no {STUDY_FILE}; pass a new folder as --out")
        return Study((), "")
    study = read_study(folder)
    _check_spacing(folder, study, settings)
    return study


def check_beside(study: Study, folder: Path, source: CaseSource) -> None:
    """Raise InputError where a case cannot stand beside the others of the study, or take the place of its namesake."""
    case = next((c for c in study.cases if c.case.casefold() == source.case.casefold()), None)
    if case is not None and case.case != source.case:
        raise InputError(f"the study has {case.case}; expected names that differ by more than capitals")
    if case is not None and not (folder / source.case / CASE_FILE).is_file():
        raise InputError("is in the study already, and not by import; choose another name")
    # Two spellings of one patient would let folds divide him.
    others = [c.patient for c in study.cases if c.case != source.case]
    for one, other in spelled_alike([*others, source.patient]):
        if source.patient in (one, other):
            raise InputError(f"patients {one!r} and {other!r} {SPELLED_ALIKE}")


def _check_spacing(folder: Path, study: Study, settings: ImportSettings) -> None:
    """Mixed voxel sizes are refused: every CT of a study has the voxels of its first."""
    if not study.cases or settings.spacing_mm is None:
        return
    first = study.cases[0]
    spacing = _recorded_spacing(folder / first.case / CASE_FILE)
    if spacing is None:
        spacing = read_volume(folder / first.ct).spacing_mm
    if np.abs(spacing / settings.spacing_mm - 1).max() > 0.01:
        voxels = " x ".join(f"{edge:.3g}" for edge in spacing)
        raise InputError(
            f"{folder}: mixed voxel sizes: its first case {first.case} has voxels of {voxels} mm, the import would add "
            f"{settings.spacing_mm:g} mm; pass another --out, that --spacing-mm, or --keep-voxels to mix them knowingly"
        )


def _recorded_spacing(record: Path) -> NDArray[np.float64] | None:
    """(3,) mm as the record of an imported case has it; None where there is none, or it is damaged."""
    try:
        content = read_json(record, "the record of an imported case")
        with understood(CASE_FILE, "is damaged"):
            spacing = np.array(content["ct"]["voxels_mm"], dtype=np.float64)
    except InputError:
        return None
    return spacing if spacing.shape == (3,) and (spacing > 0).all() else None


def _imported_case(
    folder: Path, source: CaseSource, settings: ImportSettings
) -> tuple[StudyCase, dict[str, Any] | None]:
    """The case as the study lists it, and what was done to it where it was written now."""
    final = folder / source.case
    digest = source_digest(source, settings)
    kept = _kept_case(final, source, digest) if final.exists() else None
    if kept is not None:
        return kept, None
    with whole_folder(final, existing="replace") as staging:
        case, facts = write_case(staging, source, settings)
        content = {"case": asdict(case), "inputs_sha256": digest, "ct_sha256": ct_digest(source), **facts}
        (staging / CASE_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return case, facts


def _kept_case(final: Path, source: CaseSource, digest: str) -> StudyCase | None:
    """The case in the folder ``final`` where it was made from the same; None where it is to be made again.

    Raises InputError where the folder is not an import's, or holds another patient's wrist: that is a name taken twice,
    and no row that was repaired.
    """
    if not (final / CASE_FILE).is_file():
        raise InputError(f"the folder {final.name} is there, and not imported; choose another name, or remove it")
    try:
        content = read_json(final / CASE_FILE, "the record of an imported case")
        with understood(CASE_FILE, "is damaged"):
            case, known, ct = case_from_entry(content["case"]), content["inputs_sha256"], content.get("ct_sha256")
    except InputError:
        return None
    if case.case != final.name:
        raise InputError(f"the folder {final.name} holds the case {case.case}; remove the folder to import it")
    if known == digest:
        return case
    if case.patient != source.patient and ct != ct_digest(source):
        raise InputError(
            f"is in the study already, as another CT of patient {case.patient}; choose another name, or remove the "
            f"folder {final.name} to replace it"
        )
    return None
