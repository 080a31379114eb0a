"""What a release must show: it builds, installs into an empty environment, and runs there without this repository.

    python scripts/release_check.py --work release-work
    python scripts/release_check.py --work release-work --python python3.11 --python python3.12 --extra pdf

For each Python: a new virtual environment, the wheel installed into it by pip with its default dependencies, the
command ``bonelift demo`` run outside of the repository, the time of ``import bonelift`` and the size of what was
installed. For each extra, in an environment of its own (the first Python): installed as the documentation says, and
what needs it imported. For ``train`` and ``study`` the build of PyTorch is what pip finds here. With --tests, those
tests of the repository run against the installed wheel on each Python.

Each step leaves a file in the work folder. The same command goes on where it was stopped; remove the folder to begin
anew. The last line says whether all passed; WORK/release.json has the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NEEDED_BY_EXTRA = {
    "bench": "import matplotlib",
    "cluster": "import distributed",
    "dicom": "import highdicom",
    "docs": "import mkdocs, jupytext",
    "excel": "import openpyxl",
    "jpeg": "import openjpeg, libjpeg",
    "methods": "import monai, torch",
    "pdf": "from bonelift.report.pdf import check_pdf_library; check_pdf_library()",
    "serve": "import fastapi, uvicorn",
    "study": "import matplotlib, torch; import bonelift.experiments.evaluate",
    "tables": "import spekpy, xraydb",
    "train": "import torch; import bonelift.learning.line",
}
"""Extra -> what has to be importable with it."""
IMPORTS = 5


def run(call: list[str | Path], cwd: Path) -> str:
    """Output of a command that sees neither this repository nor the user's packages."""
    hidden = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(part) for part in call], cwd=cwd, env=hidden, capture_output=True, text=True)
    if done.returncode:
        told = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{' '.join(str(part) for part in call)}: exit {done.returncode}\n{told}")
    return done.stdout


def step(work: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` found, from its file where it was done before."""
    record = work / f"{name}.json"
    if record.is_file():
        return json.loads(record.read_text())
    print(f"{name} ...", flush=True)
    begun = time.monotonic()
    found = {**make(), "seconds": round(time.monotonic() - begun, 1)}
    partial = record.with_suffix(".part")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(record)
    print(f"{name}: {json.dumps(found)}", flush=True)
    return found


def build(work: Path) -> dict[str, Any]:
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "dist", ROOT], work)
    return {"files": {path.name: path.stat().st_size for path in sorted((work / "dist").iterdir())}}


def wheel_in(work: Path) -> Path:
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


def environment(work: Path, python: str, name: str) -> Path:
    """The interpreter of a new virtual environment (an old half of one is made again)."""
    folder = work / name
    run([python, "-m", "venv", "--clear", folder], work)
    return folder / "bin" / "python"


def try_tests(work: Path, python: str, tests: list[str]) -> dict[str, Any]:
    """The repository's tests against the wheel that was installed into the environment of ``python``."""
    inside = work / f"env-{Path(python).name}" / "bin" / "python"
    run([inside, "-m", "pip", "install", "--quiet", "pytest", "hypothesis"], work)
    where = run([inside, "-c", "import bonelift; print(bonelift.__file__)"], work)
    if not Path(where.strip()).is_relative_to(inside.parent.parent):
        raise RuntimeError(f"the tests would run {where.strip()}, not the wheel")
    told = run([inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], ROOT)
    return {"tests": " ".join(tests), "result": told.strip().splitlines()[-1]}


def try_python(work: Path, python: str) -> dict[str, Any]:
    name = f"env-{Path(python).name}"
    inside = environment(work, python, name)
    run([inside, "-m", "pip", "install", "--quiet", wheel_in(work)], work)
    run([inside, "-m", "pip", "check"], work)
    version = run([inside, "-c", "import platform; print(platform.python_version())"], work).strip()
    command = inside.with_name("bonelift")
    told = json.loads(run([command, "demo", "--out", work / f"demo-{version}", "--json"], work))
    run([command, "train", "--help"], work)
    packages = Path(run([inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], work).strip())
    clock = "import time; t = time.perf_counter(); import bonelift; print(time.perf_counter() - t)"
    times = [float(run([inside, "-c", clock], work)) for _ in range(IMPORTS)]
    return {
        "python": version,
        "demo_quality": round(told["quality"], 3),
        "installed_mb": round(_size(packages) / 1e6),
        "installed_parts_mb": {
            part.name: round(_size(part) / 1e6)
            for part in sorted(packages.iterdir(), key=_size, reverse=True)[:8]
        },
        "import_s": round(min(times), 3),
    }  # fmt: skip


def _size(path: Path) -> int:
    """Bytes of a file or of all files below a folder."""
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(part.lstat().st_size for part in inside if not part.is_dir())


def try_extra(work: Path, python: str, extra: str) -> dict[str, Any]:
    inside = environment(work, python, f"extra-{extra}")
    run([inside, "-m", "pip", "install", "--quiet", f"bonelift[{extra}] @ {wheel_in(work).as_uri()}"], work)
    run([inside, "-m", "pip", "check"], work)
    run([inside, "-c", NEEDED_BY_EXTRA[extra]], work)
    packages = Path(run([inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], work).strip())
    return {"installed_mb": round(_size(packages) / 1e6)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", action="append", help="an interpreter; more than once for more (else this one)")
    parser.add_argument("--extra", action="append", choices=sorted(NEEDED_BY_EXTRA), default=[], help="to be installed")
    parser.add_argument("--tests", action="append", help="tests of the repository that are run against the wheel")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pythons = options.python or [sys.executable]
    tasks: list[tuple[str, Callable[[], dict[str, Any]]]] = [("build", lambda: build(work))]
    tasks += [(f"python-{Path(p).name}", lambda p=p: try_python(work, p)) for p in pythons]
    if options.tests:
        tasks += [(f"tests-{Path(p).name}", lambda p=p: try_tests(work, p, options.tests)) for p in pythons]
    tasks += [(f"extra-{e}", lambda e=e: try_extra(work, pythons[0], e)) for e in options.extra]
    found: dict[str, Any] = {}
    for name, make in tasks:
        try:
            found[name] = step(work, name, make)
        except RuntimeError as error:
            found[name] = {"failed": str(error)}
            print(f"{name}: FAILED: {error}", flush=True)
            if name == "build":
                break
    (work / "release.json").write_text(json.dumps(found, indent=1) + "\n")
    failed = [name for name, entry in found.items() if "failed" in entry]
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(found)} steps passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
