"""The search for what a kill spoilt finds it; else the runs in which it finds nothing would say nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def forked(monkeypatch):
    """scripts/forked_commands.py."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    import forked_commands

    yield forked_commands
    sys.modules.pop("forked_commands")


def result(folder: Path, seconds: float = 1.0, name: str = "w01") -> Path:
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps({"name": name, "seconds": seconds}))
    (folder / "rows.csv").write_text(f"case,seconds\n{name},{seconds}\n")
    np.save(folder / "values.npy", np.arange(100))
    return folder


def test_what_a_clock_says_may_differ_and_nothing_else(forked, tmp_path) -> None:
    first = result(tmp_path / "first" / "out")
    second = result(tmp_path / "second" / "out", seconds=2.0)
    assert forked.difference(first, second) == ""
    assert forked.difference(first, result(tmp_path / "third" / "out", name="w02")) == "differs: case.json"
    (second / "values.npy").write_bytes((first / "values.npy").read_bytes()[:-1])
    assert forked.difference(first, second) == "differs: values.npy"
    (second / "values.npy").unlink()
    assert forked.difference(first, second) == "only once there: values.npy"


def test_what_is_left_beside_a_result_is_found(forked, tmp_path) -> None:
    first, second = (result(tmp_path / name / "out") for name in ("first", "second"))
    (second.parent / ".out.host-1-abc.partial").mkdir()
    assert forked.difference(first, second) == "left behind: .out.host-1-abc.partial"


@pytest.mark.parametrize("name", ["case.json", "values.npy"])
def test_half_a_file_is_found_under_its_own_name_alone(forked, tmp_path, name) -> None:
    whole, out = (result(tmp_path / folder / "out") for folder in ("whole", "killed"))
    assert forked.half_file(out, whole) == ""
    content = (out / name).read_bytes()
    (out / f".{name}.17.partial").write_bytes(content[:-10])
    assert forked.half_file(out, whole) == ""
    (out / name).write_bytes(content[:-10])
    assert forked.half_file(out, whole).startswith(name)
