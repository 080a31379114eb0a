"""``bonelift reconstruct --on``: many films in one call."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bonelift import RESEARCH_NOTICE
from bonelift.cli.console import console_for
from bonelift.cli.reconstruction import HANGINGS
from bonelift.cli.warm_up import KernelWarmUp
from bonelift.errors import InputError
from bonelift.images.reading import RadiographOptions
from bonelift.reconstruction.batch.cases import batch_cases
from bonelift.reconstruction.file_kinds import file_kinds
from bonelift.report.pdf import check_pdf_library

DONE, FAULT, WRONG_INPUT, FLAGGED = 0, 1, 2, 3
_ONE_FILM_ONLY = {"images": "IMAGE", "camera": "--camera", "landmarks": "--landmarks", "label": "--label"}


def reconstruct_batch(options: Namespace, kernels: KernelWarmUp) -> int:
    """Reconstruct every case; the exit status: 0 each came to an answer, 2 some did not (their rows say why), 1 by a
    fault of ours, 3 with --strict where a result is flagged."""
    console = console_for(options)
    cases = batch_cases([Path(place) for place in options.on or []], options.table, _known(options))
    kinds = file_kinds(options.files)
    if options.pdf:
        check_pdf_library()
    kernels.start_rest()
    from bonelift.networks.model import load_model
    from bonelift.reconstruction.batch.run import run_batch
    from bonelift.reconstruction.settings import JobSettings

    model = load_model(options.model, options.device)
    kernels.wait()
    with console.bar(len(cases), "films") as bar:
        rows = run_batch(
            cases,
            options.out,
            model,
            JobSettings(method=options.method),
            lambda row: bar.done(f"{row.case.label}: {row.verdict}" + (f" ({row.error})" if row.error else "")),
            bar.note,
            kinds,
            options.dicom_identity,
            options.pdf,
        )
    failed = [row for row in rows if row.verdict == "failed"]
    counts = {
        verdict: sum(row.verdict == verdict for row in rows) for verdict in dict.fromkeys(r.verdict for r in rows)
    }
    values = {
        "out": str(options.out),
        "cases": len(rows),
        "made": sum(row.made for row in rows if row.verdict != "failed"),
        "verdicts": counts,
        "failed": {row.case.label: row.error for row in failed},
    }
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    lines = [f"{options.out}: {len(rows)} cases: {said}"]
    lines += [f"  {row.case.label}: {row.error}" for row in failed[:10]]
    lines += [f"  and {len(failed) - 10} more"] if len(failed) > 10 else []
    lines += [f"  open {options.out / 'index.html'} (all numbers: results.csv)", RESEARCH_NOTICE]
    console.result(values, "\n".join(lines))
    if failed:
        return FAULT if any(row.ours for row in failed) else WRONG_INPUT
    return FLAGGED if options.strict and any(row.flagged for row in rows) else DONE


def _known(options: Namespace) -> RadiographOptions:
    """What the options say of all films; a table may say otherwise of one. Raises InputError for those of one film."""
    given = [name for field, name in _ONE_FILM_ONLY.items() if getattr(options, field, None)]
    if given:
        raise InputError(f"--on or --table with {given[0]}; expected one or the other: {given[0]} belongs to one film")
    if options.view is not None and len(options.view) > 1:
        raise InputError("--view was given more than once for a batch; say each film's view in the --table")
    return RadiographOptions(
        side=options.side,
        view=options.view[0] if options.view else None,
        pixel_spacing_mm=options.pixel_spacing_mm,
        sdd_mm=options.sdd_mm,
        source_to_object_mm=options.source_to_object_mm,
        roi=options.roi,
        frame=options.frame,
        invert=options.invert,
        hanging=HANGINGS[options.hanging],
        overrule_header=options.overrule_header,
    )
