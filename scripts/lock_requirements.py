"""Write requirements.lock (default install) and requirements-dev.lock (with the dev extra): exact versions.

Run by ``make lock`` in an environment in which the tests pass: the locks hold what is installed there, and of that only
what bonelift needs, directly or through others. Torch is held where the code was tested; a range would take the newest
build, with gigabytes of CUDA libraries.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Exact versions that `make` installs; written by scripts/lock_requirements.py\n"
BUILD = ["setuptools>=77"]


def closure(wanted: list[str], own_extras: dict[str, list[str]]) -> dict[str, str]:
    """Name -> installed version of everything that ``wanted`` (requirement lines) needs on this machine.

    own_extras: of bonelift itself; a line ``bonelift[pdf,serve]`` stands for what they need.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(line) for line in wanted]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        if name == "bonelift":
            queue += [Requirement(line) for extra in requirement.extras for line in own_extras[extra]]
            continue
        installed = distribution(requirement.name)
        found[name] = installed.version.split("+")[0]
        for line in installed.requires or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                queue.append(needed)
    return found


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    default = [*BUILD, *project["dependencies"]]
    dev = [*default, *extras["dev"]]
    for file, wanted in (("requirements.lock", default), ("requirements-dev.lock", dev)):
        lines = [f"{name}=={version}" for name, version in sorted(closure(wanted, extras).items())]
        (ROOT / file).write_text(HEADER + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
