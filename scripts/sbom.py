"""The software bill of materials of a lock file (CycloneDX), its licences as a table, and what can be audited offline.

    python scripts/sbom.py --out dist
    python scripts/sbom.py --lock requirements-dev.lock --out dist

Writes OUT/<lock>.cdx.json and OUT/<lock>-licences.md. The licences are those that the installed packages state, so run
it in the environment that the lock describes (``make sbom`` does). Exit status 1 where a locked package is missing or
has another version, states no licence, or has one under which a program that only imports it could not be passed on as
Apache-2.0. Known weaknesses of the versions are not looked up: that needs a network (pip-audit).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STRONG = re.compile(r"\bA?GPL|\bSSPL|General Public License|proprietary", re.IGNORECASE)
"""Licences that bind what is passed on together with them. The LGPL does not bind a program that only imports."""
WEAK = re.compile(r"LGPL|Lesser", re.IGNORECASE)


def locked(lock: Path) -> dict[str, str]:
    """Package -> version of a lock file."""
    lines = (line.strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def licence_of(about: PackageMetadata) -> str:
    """What a package says of its licence: SPDX expression, else classifiers, else the first line of the text."""
    if about.get("License-Expression"):
        return str(about["License-Expression"])
    classifiers = [
        line.rsplit(" :: ", 1)[1]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return ", ".join(classifiers)
    return next((line.strip() for line in str(about.get("License") or "").splitlines() if line.strip()), "")


def audit(wanted: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Package -> licence of what is installed, and what is wrong, one line each."""
    licences: dict[str, str] = {}
    wrong: list[str] = []
    for name, version in wanted.items():
        try:
            about = metadata(name)
        except PackageNotFoundError:
            wrong.append(f"{name}: locked at {version}, not installed")
            continue
        installed = str(about["Version"]).split("+")[0]
        if installed != version:
            wrong.append(f"{name}: locked at {version}, installed {installed}")
        licences[name] = licence_of(about)
        if not licences[name]:
            wrong.append(f"{name}: states no licence")
        elif STRONG.search(licences[name]) and not WEAK.search(licences[name]):
            wrong.append(f"{name}: {licences[name]} would bind what is passed on with it")
    return licences, wrong


def bill(lock: Path, licences: dict[str, str]) -> dict[str, Any]:
    """The CycloneDX document of the lock by cyclonedx-bom, with the licences put in."""
    call = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        str(lock),
        "--pyproject",
        str(ROOT / "pyproject.toml"),
    ]
    made = subprocess.run([*call, "--output-reproducible"], capture_output=True, text=True, check=True)
    document = json.loads(made.stdout)
    for component in document["components"]:
        licence = licences.get(component["name"])
        if licence:
            component["licenses"] = [{"license": {"name": licence}}]
    return document


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    wanted = locked(options.lock)
    licences, wrong = audit(wanted)
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    if checked.returncode:
        # Whatever else stands in the environment is no matter of the lock.
        wrong += [f"pip check: {line}" for line in checked.stdout.splitlines() if line.split()[0].lower() in wanted]
    options.out.mkdir(parents=True, exist_ok=True)
    name = options.lock.name.removesuffix(".lock")
    document = json.dumps(bill(options.lock, licences), indent=1) + "\n"
    (options.out / f"{name}.cdx.json").write_text(document, encoding="utf-8")
    rows = [f"| {package} | {wanted[package]} | {licences.get(package, '')} |" for package in wanted]
    table = "\n".join(["| package | version | licence |", "|---|---|---|", *rows]) + "\n"
    (options.out / f"{name}-licences.md").write_text(table, encoding="utf-8")
    print(f"{options.out / name}.cdx.json: {len(wanted)} packages")
    print("\n".join(wrong) or "each is installed as locked and states a licence under which it can be passed on")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
