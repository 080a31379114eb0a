"""Put the tables and figures of measured runs into docs/results/methods.md, between its markers; prose stays.

    bonelift evaluate study --run run --report-only
    python scripts/methods_page.py --run run --poses POSES --angles ANGLES

POSES and ANGLES are what ``measure_registered_poses.py`` and ``measure_view_angle.py`` wrote with ``--out``. With
``--packaged OUT``, ``--real-bones OUT`` and ``--adult-films OUT`` it takes the rows that
``measure_packaged_methods.py``, ``measure_methods_real_bones.py`` and ``measure_methods_adult_films.py`` wrote;
``docs/results/methods`` as OUT makes the table again from the rows that are there. Markers in the page:
``<!-- begin NAME -->`` and ``<!-- end NAME -->``; NAME is side-by-side, cost, more-patients, longer, poses, angles,
packaged, real-bones or adult-films. What is not passed stays as it is. Figures and rows go into docs/results/methods/.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from methods_grounds_page import ADULT_FILMS, IDENTITY, PACKAGED, REAL_BONES, adult_films, packaged, real_bones

from bonelift.experiments.folds import Fold, read_folds
from bonelift.experiments.results.methods import FIGURE_FILE, PAGE_FILE, STATISTICS_FILE
from bonelift.experiments.results.tables import ROWS_FILE
from bonelift.experiments.run.cost import run_costs
from bonelift.experiments.run.folder import RunPaths, read_run

PAGE = Path("docs/results/methods.md")
FOLDER = PAGE.parent / "methods"
STAGES = ("autoencoder", "predictor", "finetune", "pix2pix", "shape")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--more-patients", type=Path, help="a run on a larger study")
    parser.add_argument("--longer", type=Path, help="the same with more updates")
    parser.add_argument("--poses", type=Path)
    parser.add_argument("--angles", type=Path)
    parser.add_argument("--packaged", type=Path)
    parser.add_argument("--real-bones", type=Path)
    parser.add_argument("--adult-films", type=Path)
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    if options.run:
        for name in (ROWS_FILE, STATISTICS_FILE):
            shutil.copyfile(options.run / name, FOLDER / name)
        shutil.copyfile(RunPaths(options.run).figures / FIGURE_FILE, FOLDER / FIGURE_FILE)
        made = (options.run / PAGE_FILE).read_text(encoding="utf-8")
        made = re.sub(r"^## ", "### ", made, flags=re.MULTILINE).replace("(figures/", f"({FOLDER.name}/")
        text = replaced(text, "side-by-side", made)
        text = replaced(text, "cost", cost(options.run))
    for name, run in (("more-patients", options.more_patients), ("longer", options.longer)):
        if run:
            shutil.copyfile(run / ROWS_FILE, FOLDER / f"rows-{name}.csv")
            text = replaced(text, name, f"{main_table(run)}\n\n{cost(run)}")
    for name in ("poses", "angles"):
        if source := getattr(options, name):
            text = replaced(text, name, (source / "tables.md").read_text(encoding="utf-8"))
            for path in (*source.glob("*.png"), *source.glob("*.csv")):
                shutil.copyfile(path, FOLDER / path.name)
    for name, tables, files in (
        ("packaged", packaged, (PACKAGED,)),
        ("real-bones", real_bones, (REAL_BONES,)),
        ("adult-films", adult_films, (ADULT_FILMS, IDENTITY)),
    ):
        if source := getattr(options, name.replace("-", "_")):
            for file in files:
                if source.resolve() != FOLDER.resolve():
                    shutil.copyfile(source / file, FOLDER / file)
            text = replaced(text, name, tables(FOLDER))
    PAGE.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, made: str) -> str:
    """``text`` with ``made`` between the markers of ``name``."""
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{PAGE}: has no markers of {name}")
    return pattern.sub(lambda found: f"{found[1]}\n{made.strip()}\n\n{found[2]}", text)


def main_table(run: Path) -> str:
    """The table of all methods of a run, and what it says of who was tested."""
    lines = (run / PAGE_FILE).read_text(encoding="utf-8").splitlines()
    said = next(line for line in lines if "that no method had seen" in line)
    start = next(n for n, line in enumerate(lines) if line.startswith("| method | patients |"))
    end = next(n for n, line in enumerate(lines) if n > start and not line.startswith("|"))
    return "\n".join([said, "", *lines[start:end]])


def cost(run: Path) -> str:
    """What the run was, and what each of its steps took."""
    paths = RunPaths(run)
    content, folds = read_run(paths), read_folds(paths.folds)
    preset = content["preset"]
    updates = ", ".join(f"{name} {preset['networks'][f'{name}_training']['loop']['updates']}" for name in STAGES)
    worked = [fold for fold in folds.folds if paths.network(fold.name).is_dir()]
    lines = [
        f"Updates: {updates}. Patients of a fold: "
        + "; ".join(
            f"{fold.name}: {len(fold.tl.training)} train, {len(fold.tl.validation)} watch, {len(fold.test)} are "
            f"tested, pix2pix learns from {len(fold.pix2pix.training)}"
            for fold in worked
        )
        + ".\n",
        "| step | pieces | minutes | largest process, MiB |",
        "|---|---|---|---|",
    ]
    lines += [f"| {c.step} | {c.pieces} | {c.seconds / 60:.1f} | {c.peak_mib:.0f} |" for c in run_costs(paths)]
    lines.append(
        "\nMinutes: on the clock of a core that others shared, but for what a method took to learn, which is of the "
        "processor."
    )
    lines.append(f"\nModes of a bone: {preset['networks']['shape_modes']}, {bases(paths, worked)}. Run of {made_on()}.")
    return "\n".join(lines)


def bases(paths: RunPaths, worked: Sequence[Fold]) -> str:
    """Whose bones the modes of the shape regressor and of the rendered shape model are."""
    files = [paths.network(fold.name) / "basis" / "basis.json" for fold in worked]
    told = {str(json.loads(path.read_text(encoding="utf-8"))["origin"]) for path in files if path.is_file()}
    return "; ".join(sorted(told)) or "not made"


def made_on() -> str:
    """Date, versions and machine."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    monai = version("monai")
    return (
        f"{time.strftime('%Y-%m-%d')}, one thread, {platform.machine()}, torch {torch.__version__}, MONAI {monai}; "
        f"page made at commit {commit}"
    )


if __name__ == "__main__":
    main()
