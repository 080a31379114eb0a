"""A batch: every case by itself, a row as each is done, an index page; what is there already is not made again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bonelift import __version__
from bonelift.errors import InputError, OutputPlaceError
from bonelift.networks.model import WristModel
from bonelift.reconstruction.batch.cases import BatchCase, facts_as_json
from bonelift.reconstruction.batch.index_page import index_page
from bonelift.reconstruction.batch.rows import BatchRow, failed_row, row_of, table
from bonelift.reconstruction.file_kinds import DEFAULT_KINDS, FileKind, Identity
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.output_files import OutputFiles
from bonelift.reconstruction.save import JSON_NAME, save
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch
from bonelift.report.content import ReportExtras
from bonelift.storage.input_files import opened, read_json
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.output_folder import claimed_folder, read_made_from, result_folder
from bonelift.storage.whole import write_whole, writing

TABLE_NAME, PAGE_NAME, CLAIM_NAME = "results.csv", "index.html", "batch.json"
_PAGE_EVERY_S = 20.0


def run_batch(
    cases: Sequence[BatchCase],
    out: Path,
    model: WristModel,
    settings: JobSettings,
    on_case: Callable[[BatchRow], None] = lambda _: None,
    on_step: Callable[[str], None] = lambda _: None,
    kinds: Sequence[FileKind] = DEFAULT_KINDS,
    identity: Identity = "none",
    pdf: bool = False,
) -> tuple[BatchRow, ...]:
    """Reconstruct each case into ``out``/label, with results.csv and index.html beside them.

    A case that fails is a row that says why, and the others go on. A case whose result was made by this version from
    the same files, facts, settings and model is not made again. on_case: called as each is done.
    kinds, identity: of the files of each case (:class:`bonelift.reconstruction.output_files.OutputFiles`).
    pdf: whether each case has a report.pdf.

    Raises InputError for an ``out`` that holds something else or that another process writes into.
    """
    rows: list[BatchRow] = []
    with claimed_folder(out, CLAIM_NAME, {"holds": "a batch of bonelift reconstruct"}, "results of a batch"):
        try:
            shown = time.monotonic()
            for case in cases:
                row = _row(case, out, model, settings, on_step, tuple(kinds), identity, pdf)
                rows.append(row)
                _write(out / TABLE_NAME, table(rows))
                if time.monotonic() - shown > _PAGE_EVERY_S:
                    _write(out / PAGE_NAME, index_page(rows, out, len(cases)))
                    shown = time.monotonic()
                on_case(row)
        finally:
            _write(out / PAGE_NAME, index_page(rows, out, len(cases)))
    return tuple(rows)


def _write(path: Path, text: str) -> None:
    with writing(path.parent):
        write_whole(path, text)


def _row(
    case: BatchCase,
    out: Path,
    model: WristModel,
    settings: JobSettings,
    on_step: Callable[[str], None],
    kinds: tuple[FileKind, ...],
    identity: Identity,
    pdf: bool,
) -> BatchRow:
    """The row of one case, made now or before. Whatever goes wrong with it is its row's."""
    try:
        if case.problem:
            raise InputError(case.problem)
        folder = out / case.label
        files = OutputFiles(kinds, tuple(image.path for image in case.images), identity)
        made_from = _made_from(case, model, settings, files, pdf)
        earlier = _earlier(case, folder, made_from)
        if earlier is not None:
            return earlier
        clock = Stopwatch(on_step)
        with clock.step("read"):
            radiographs = read_radiographs(case.images)
        result = reconstruct(radiographs, model, settings, clock)
        with result_folder(folder, made_from) as staging:
            save(result, staging, extras=ReportExtras(case.label, pdf), files=files)
        return row_of(case, read_json(folder / JSON_NAME, "a reconstruction"), made=True)
    except OutputPlaceError:
        raise
    except InputError as error:
        return failed_row(case, str(error))
    except MemoryError:
        return failed_row(case, "there is not the memory for this film; free some, or pass a smaller image")
    except Exception as error:  # a fault of ours on one film stops no batch: it is told, with its kind
        return failed_row(case, f"a fault of bonelift: {type(error).__name__}", ours=True)


def _earlier(case: BatchCase, folder: Path, made_from: Mapping[str, Any]) -> BatchRow | None:
    """The row of a result that is there and was made from the same, else None."""
    if read_made_from(folder) != as_json_gives_it(dict(made_from)):
        return None
    try:
        return row_of(case, read_json(folder / JSON_NAME, "a reconstruction"), made=False)
    except (InputError, LookupError, TypeError, ValueError):
        return None


def _made_from(
    case: BatchCase, model: WristModel, settings: JobSettings, files: OutputFiles, pdf: bool
) -> dict[str, Any]:
    return {
        "made_by": f"bonelift {__version__}",
        "label": case.label,
        "films": [{"sha256": _sha256(image.path), "facts": facts_as_json(image.options)} for image in case.images],
        "model": model.weights_sha256,
        "settings": settings.as_json(),
        "written": [*files.kinds, f"identity {files.identity}", *(["pdf"] if pdf else [])],
    }


def _sha256(path: Path) -> str:
    with opened(path, "one radiograph file (DICOM, PNG, JPEG or TIFF)") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
