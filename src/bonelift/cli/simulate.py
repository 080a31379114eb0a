"""``bonelift simulate``: a study folder of virtual patients."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from bonelift.cli.arguments import positive_int, whole_number, zero_or_more
from bonelift.cli.console import console_for
from bonelift.errors import InputError
from bonelift.study.virtual_cohort import CohortSettings, paper_cohort, plan_cohort, simulate_cohort

EPILOG = """\
Each patient gets a folder: CT, labels, landmarks, radiographs with their cameras, and the truth.
An interrupted run goes on with the same command; a larger --patients adds to it. --preset paper: 126 patients,
173 CTs (46 patients in more than one forearm rotation), 105 radiographs, landmarks with a hand's error; its plan is
fixed. --without-poses leaves the poses of the radiographs to bonelift register; the truth stays in truth.json.

  bonelift simulate --patients 12 --seed 1 --out study
  bonelift simulate --preset paper --seed 1 --out cohort
  bonelift simulate --preset paper --seed 1 --out cohort --without-poses"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--patients", metavar="N", type=positive_int, help="one wrist each; half left")
    parser.add_argument("--preset", choices=["paper"], help="the cohort of Shiode et al. 2021, instead of --patients")
    parser.add_argument("--seed", metavar="S", type=whole_number, required=True, help="of the cohort; 0 or above")
    parser.add_argument("--out", metavar="STUDY", type=Path, required=True, help="study folder")
    parser.add_argument("--views", nargs="+", choices=["pa", "lateral"], help="radiographs of each (default: pa)")
    parser.add_argument("--scans", metavar="N", type=positive_int, help="CTs in all (default: one a patient)")
    parser.add_argument(
        "--turned", metavar="N", type=positive_int, help="patients with further CTs, in other forearm rotations"
    )
    parser.add_argument(
        "--with-radiographs", metavar="N", type=whole_number, help="patients with radiographs (default: all)"
    )
    parser.add_argument(
        "--landmark-error-mm",
        metavar="SD",
        type=zero_or_more,
        help="error of the landmarks along each axis (default: 0; with --preset paper 1, as by hand)",
    )
    parser.add_argument("--without-poses", action="store_true", help="list no poses of radiographs: to be registered")
    parser.add_argument("--workers", metavar="N", type=positive_int, default=1, help="processes (default: 1)")


def run(options: Namespace) -> int:
    console = console_for(options)
    settings = _settings(options)
    with console.bar(len(plan_cohort(settings)), "virtual wrists") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        study = simulate_cohort(options.out, settings, options.workers, on_case)
    patients = len({case.patient for case in study.cases})
    radiographs = sum(len(case.radiographs) for case in study.cases)
    values = {"study": str(options.out), "cases": len(study.cases), "patients": patients, "radiographs": radiographs}
    text = f"{len(study.cases)} CTs of {patients} virtual patients, {radiographs} radiographs (study.json)"
    console.result(values, f"{options.out}: {text}")
    return 0


def _settings(options: Namespace) -> CohortSettings:
    shape = {name: getattr(options, name) for name in ("patients", "views", "scans", "turned", "with_radiographs")}
    if options.preset is not None:
        given = [name for name, value in shape.items() if value is not None]
        if given:
            raise InputError(
                f"--preset {options.preset} with --{given[0].replace('_', '-')}; expected one or the other"
            )
        return _as_asked(paper_cohort(options.seed), options)
    if options.patients is None:
        raise InputError("no --patients and no --preset; expected a number of patients or --preset paper")
    plain = CohortSettings(
        options.patients,
        options.seed,
        tuple(options.views or ["pa"]),
        options.scans,
        options.turned or 0,
        options.with_radiographs,
    )
    return _as_asked(plain, options)


def _as_asked(settings: CohortSettings, options: Namespace) -> CohortSettings:
    """With what may be asked for of any cohort."""
    error_mm = settings.landmark_error_mm if options.landmark_error_mm is None else options.landmark_error_mm
    return replace(settings, landmark_error_mm=error_mm, poses=not options.without_poses)
