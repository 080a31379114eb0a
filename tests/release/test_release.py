"""What is released says one version everywhere, and the wheel that is built holds all that the package needs."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from bonelift import RESEARCH_NOTICE, __version__

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built by `python -m build` from a copy, so that nothing is left in the repository."""
    if find_spec("build") is None:
        pytest.skip("build is not installed: pip install 'bonelift[dev]'")
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    call = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (copy / "dist").iterdir()
    return made


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (about,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(about).decode()
    package = ROOT / "src"
    files = {
        path.relative_to(package).as_posix()
        for path in (package / "bonelift").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == files
    assert wheel.name == f"bonelift-{__version__}-py3-none-any.whl"
    assert f"Version: {__version__}\n" in text
    assert "License-Expression: Apache-2.0" in text


def test_what_was_unpacked_from_the_wheel_runs_without_the_repository(wheel, tmp_path):
    """The weights, the templates and the demo's film are found in the wheel alone. The demo itself runs in
    `make release-check`, which installs the wheel into an empty environment."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import bonelift, sys
from pathlib import Path
from bonelift.networks.model import load_model
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.report.page import asset, page_template
assert Path(bonelift.__file__).is_relative_to(sys.argv[1]), bonelift.__file__
model = load_model(None, "cpu")
case = load_demo_case()
page_template("bonelift.report", "report.html.j2"), asset("page.css"), asset("viewer.js")
page_template("bonelift.experiments.results", "study_report.html.j2")
print(bonelift.__version__, model.name)
"""
    call = [sys.executable, "-c", code, str(tmp_path / "site")]
    shown = {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(call, cwd=tmp_path, env=shown, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == __version__


def test_one_version_and_one_date_everywhere():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    versions = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert (citation["version"], citation["date-released"]) == versions[0] == (__version__, versions[0][1])
    # The newest first, as Keep a Changelog has it.
    assert versions == sorted(versions, key=lambda one: tuple(map(int, one[0].split("."))), reverse=True)
    assert [date for _, date in versions] == sorted((date for _, date in versions), reverse=True)
    for key in ("cff-version", "message", "title", "authors", "license"):
        assert citation[key]
    assert RESEARCH_NOTICE.split(".")[0] in citation["abstract"]


def test_changes_stand_under_the_headings_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= allowed


def test_the_bill_of_materials_names_what_is_locked_with_its_licence(tmp_path):
    if find_spec("cyclonedx_py") is None:
        pytest.skip("cyclonedx-bom is not installed: pip install 'bonelift[dev]'")
    wanted = {"numpy": "2", "pydicom": "3", "no-such-package-here": "1"}
    lock = tmp_path / "small.lock"
    lock.write_text("# a comment\n" + "".join(f"{name}=={version}\n" for name, version in wanted.items()))
    call = [sys.executable, str(SCRIPTS / "sbom.py"), "--lock", str(lock), "--out", str(tmp_path / "out")]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "no-such-package-here: locked at 1, not installed" in done.stdout
    assert re.search(r"numpy: locked at 2, installed 2\.\S+", done.stdout)
    document = json.loads((tmp_path / "out" / "small.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    parts = {part["name"]: part for part in document["components"]}
    assert set(parts) == set(wanted)
    assert parts["pydicom"]["version"] == "3"
    assert "MIT" in parts["pydicom"]["licenses"][0]["license"]["name"]
    table = (tmp_path / "out" / "small-licences.md").read_text()
    assert re.search(r"\| numpy \| 2 \| .*BSD", table)
    assert document["metadata"]["component"]["name"] == "bonelift"


def test_every_extra_can_be_checked_and_is_locked_for_the_tests():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(runpy.run_path(str(SCRIPTS / "release_check.py"))["NEEDED_BY_EXTRA"]) == set(extras) - {"dev"}
    closure = runpy.run_path(str(SCRIPTS / "lock_requirements.py"))["closure"]
    # A line that names bonelift's own extras stands for what they need, also through each other.
    made_up = {"one": ["numpy>=1"], "two": ["bonelift[one]", "pydicom>=2"]}
    found = closure(["bonelift[two]"], made_up)
    assert {name: found[name] for name in ("numpy", "pydicom")} == {n: version(n) for n in ("numpy", "pydicom")}


def test_claims_of_python_versions_are_classifiers_and_limits_of_one_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = {line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line}
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in claimed
    assert min(claimed, key=lambda text: int(text.split(".")[1])) == project["requires-python"].removeprefix(">=")
