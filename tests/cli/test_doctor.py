"""`bonelift doctor`: says what works, what does not and what to do; changes nothing."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from bonelift.api import installation
from bonelift.cli import main
from bonelift.extras import EXTRAS
from bonelift.networks import model_files


def findings(capsys, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    status = main(["doctor", "--json", *arguments])
    content = json.loads(capsys.readouterr().out)
    assert content["works"] == (status == 0)
    return status, {entry["what"]: entry for entry in content["findings"]}


def test_a_whole_installation_works_and_every_extra_is_told(capsys):
    status, found = findings(capsys)
    assert status == 0, found
    assert {f"extra {extra.name}" for extra in EXTRAS} <= found.keys()
    assert {"bonelift", "packages", "PyTorch", "model", "kernels", "memory", "processors"} <= found.keys()
    assert "hashes of weights and graphs are right" in found["model"]["text"]
    assert "build" in found["PyTorch"]["text"]


def test_the_table_has_a_line_for_each_and_a_verdict(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "bonelift works here"
    assert lines[0].startswith("bonelift ")
    assert main(["doctor", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_damaged_weights_are_an_error(capsys, monkeypatch, tmp_path):
    for path in model_files.DEFAULT_MODEL.iterdir():
        if path.suffix in (".json", ".onnx"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / model_files.WEIGHTS_NAME).write_bytes(b"cut short")
    monkeypatch.setattr(model_files, "DEFAULT_MODEL", tmp_path)
    status, found = findings(capsys)
    assert status == 2
    assert found["model"]["level"] == "error"
    assert "sha256" in found["model"]["text"]
    assert main(["doctor"]) == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 of ")


def test_what_is_not_installed_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setattr(installation, "is_there", lambda module: False)
    status, found = findings(capsys)
    assert status == 0  # an installation without its optional parts is whole
    for extra in EXTRAS:
        entry = found[f"extra {extra.name}"]
        assert entry["level"] == "absent"
        assert f"pip install '.[{extra.name}]'" in entry["text"]
    assert found["PyTorch"]["level"] == "absent"


@pytest.mark.parametrize(("limit_gib", "level"), [(1.0, "error"), (2.0, "warning"), (8.0, "ok")])
def test_the_memory_that_may_be_used_is_weighed(capsys, monkeypatch, limit_gib, level):
    monkeypatch.setattr(installation, "memory_limit_gib", lambda: (limit_gib, "ulimit -v"))
    status, found = findings(capsys)
    assert found["memory"]["level"] == level
    assert status == (2 if level == "error" else 0)


def test_a_limit_below_the_machines_memory_is_found(monkeypatch):
    whole, _ = installation.memory_limit_gib()
    monkeypatch.setattr(installation.resource, "getrlimit", lambda _: (2**30, 2**40))
    assert installation.memory_limit_gib() == (1.0, "ulimit -v")
    assert whole > 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_told(capsys, monkeypatch, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    _, found = findings(capsys)
    assert found["working folder"]["level"] == "warning"


def test_kernels_without_a_place_to_stay_are_told(capsys, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    _, found = findings(capsys)
    assert found["kernels"]["level"] == "warning"
    assert "NUMBA_CACHE_DIR" in found["kernels"]["text"]


def test_a_check_that_breaks_is_a_finding(capsys, monkeypatch):
    monkeypatch.setattr(installation, "version", lambda name: 1 / 0)
    status, found = findings(capsys)
    assert status == 2
    assert "ZeroDivisionError" in found["packages"]["text"]


def test_nothing_is_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--quiet"]) == 0
    assert list(Path(tmp_path).iterdir()) == []
