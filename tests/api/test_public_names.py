"""The names of ``import bonelift``: lazy, documented, typed, none shared with a module, and their examples run."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import json
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bonelift

NAMES = [name for name in bonelift.__all__ if name not in ("__version__", "RESEARCH_NOTICE")]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(bonelift, name))]
STRICT = Path(__file__).parent / "used_from_outside.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_module_and_stands_in_the_table_of_contents(name):
    assert importlib.util.find_spec(f"bonelift.{name}") is None
    assert name in contents()
    assert inspect.getdoc(getattr(bonelift, name))


def contents() -> set[str]:
    """The names in the first column of the package's docstring."""
    lines = re.findall(r"^ {4}(\w+(?:, \w+)*) {2,}\S", bonelift.__doc__ or "", re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


def test_the_table_of_contents_names_nothing_else():
    assert contents() == set(NAMES)
    assert set(dir(bonelift)) >= set(bonelift.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reconstruct_all'"):
        _ = bonelift.reconstruct_all


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_sections_and_annotations(name):
    function = getattr(bonelift, name)
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    headings = ["Parameters"] * bool(signature.parameters) + ["Returns", "Examples"]
    for heading in headings:
        assert f"{heading}\n{'-' * len(heading)}" in text, heading
    told = {word.strip(",") for line in text.splitlines() if not line.startswith(" ") for word in line.split()}
    assert set(signature.parameters) <= told
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    for test in doctest.DocTestFinder(recurse=False).find(getattr(bonelift, name), name, globs={}):
        runner.run(test)
    assert runner.failures == 0


def test_importing_takes_no_time_and_no_numpy():
    """Bounded by what is imported, which no load of the machine changes: the 0.3 s are in docs/results."""
    code = "import sys, json, bonelift; print(json.dumps([m for m in sys.modules if m.split('.')[0] in "
    code += "('numpy', 'scipy', 'torch', 'numba', 'PIL', 'onnxruntime', 'pydicom')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_help_begins_with_the_table_of_contents():
    text = pydoc.plain(pydoc.render_doc(bonelift))
    begin = text.index("DESCRIPTION")
    assert text.index("    Reconstruct\n", begin) < text.index("one or two radiographs in", begin)
    assert text.index("one or two radiographs in", begin) < text.index("PACKAGE CONTENTS")


def test_the_names_pass_a_strict_type_check_from_outside(tmp_path):
    """pyright in strict mode on a file that uses them as a program outside of the package would."""
    shutil.copy(STRICT, tmp_path)
    source = str(Path(bonelift.__file__).parents[1])
    settings = {"typeCheckingMode": "strict", "include": ["*.py"], "extraPaths": [source]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "-p", str(tmp_path), "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    assert [(d["range"]["start"]["line"] + 1, d["message"]) for d in found["generalDiagnostics"]] == []
