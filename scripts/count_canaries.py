"""Canaries in every place of clinical files that can hold words; what comes out of every command is searched for them.

    python scripts/count_canaries.py --out canary-work [--keep]

Writes a virtual patient's CT, labels, landmarks and films with canaries (tests/builders/canaries.py) in their elements,
private blocks, markups, comments, file names and folders, runs the commands on them, and prints for each command the
files and bytes that came out and what was found in them, and in what was said. Exit status 1 where something was found.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kill_studies import make_small_study, study_call

from bonelift.cli import main as bonelift
from builders.canaries import Canaries, findings
from builders.canary_lab import Lab, words_into_study, write_lab

STUDY_CALLS = ("train", "evaluate")
"""What reads a study of several patients, with a canary in its path and in each of its files."""


def calls(lab: Lab, out: Path) -> dict[str, list[str]]:
    """What is run, in this order; every output folder is named for its call."""
    study = str(out / "import")
    film = str(lab.film)
    return {
        "import": ["import", "--table", str(lab.table), "--out", study],
        "check": ["check", study, "--sheet", str(out / "check" / "sheet.png")],
        "check-json": ["check", study, "--no-sheet", "--json"],
        "normalize": ["normalize", study, "--out", str(out / "normalize")],
        "drr": ["drr", study, "--poses", "2", "--rotation-deg", "5", "--out", str(out / "drr")],
        "drr-loose": [
            "drr", str(lab.ct), "--labels", str(lab.plain_labels), "--landmarks", str(lab.named_landmarks), "--side",
            "right", "--out", str(out / "drr-loose"), "--format", "nrrd",
        ],
        "register": ["register", study, "--start", "pose", "--out", str(out / "register"), "--json"],
        "register-loose": [
            "register", "--ct", str(lab.ct), "--labels", str(lab.plain_labels), "--radiograph", film, "--camera",
            str(lab.camera), "--side", "right", "--view", "pa", "--start", str(lab.pose), "--out",
            str(out / "register-loose"),
        ],
        "reconstruct": [
            "reconstruct", film, "--out", str(out / "reconstruct"), "--files", "stl,glb,seg,nifti,csv,dicom", "--pdf",
        ],
        "reconstruct-json": ["reconstruct", film, "--out", str(out / "reconstruct-json"), "--json"],
        "batch": [
            "reconstruct", "--on", str(lab.films), "--table", str(lab.facts), "--out", str(out / "batch"), "--files",
            "stl,csv", "--pdf",
        ],
    }  # fmt: skip


def study_calls(out: Path) -> dict[str, list[str]]:
    """Of a study of four patients, in a folder with a canary in its name."""
    study, small = str(next(out.glob("lab of a study */study"))), ["--preset", "smoke", "--workers", "1"]
    return {
        "train": ["train", "all", study, *small, "--run", str(out / "train")],
        "evaluate": ["evaluate", study, *small, "--folds", "2", "--fold", "fold-1", "--run", str(out / "evaluate")],
    }


def make_study(out: Path, canaries: Canaries) -> None:
    """Four simulated patients with coarse CTs, and canaries in their files."""
    status, said = run([*study_call()[:-1], str(out / "simulated")])
    if status:
        raise RuntimeError(said.decode())
    home = out / f"lab of a study {canaries.word('path of the study')}"
    home.mkdir()
    make_small_study(out / "simulated", home / "study")
    words_into_study(home / "study", canaries)


def run(arguments: list[str]) -> tuple[int, bytes]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = bonelift(arguments)
    return status, said.getvalue().encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="of the calls; import always runs where there is no study")
    parser.add_argument("--keep", action="store_true", help="leave what was written, to look at it")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    canaries = Canaries()
    (arguments.out / "lab").mkdir()
    todo: dict[str, list[str]] = {}
    if not arguments.only or set(arguments.only) - set(STUDY_CALLS):
        todo |= calls(write_lab(arguments.out / "lab", canaries, 71), arguments.out)
    if not arguments.only or set(arguments.only) & set(STUDY_CALLS):
        make_study(arguments.out, canaries)
        todo |= study_calls(arguments.out)
    files = [path for path in arguments.out.glob("lab*/**/*") if path.is_file()]
    held = {place for path in files for place in canaries.found(path.read_bytes())}
    print(f"{len(canaries.places)} canaries, {len(held)} places of them read back from the files as they lie")
    status = 0
    for name, call in todo.items():
        if arguments.only and name not in (*arguments.only, "import"):
            continue
        (arguments.out / name).mkdir(exist_ok=True) if name == "check" else None
        ended, said = run(call)
        files, size, finds = findings(canaries, arguments.out / name)
        heard = canaries.found(said)
        print(f"{name}: status {ended}, {files} files, {size / 1e6:.2f} MB, {len(finds)} found; said: {len(heard)}")
        for find in finds[:40]:
            print(f"    {find}")
        for find in heard[:10]:
            print(f"    said: {find}")
        if ended:
            print("    " + said.decode()[-2000:])
        status = 1 if finds else status
    if not arguments.keep:
        shutil.rmtree(arguments.out)
    return status


if __name__ == "__main__":
    sys.exit(main())
