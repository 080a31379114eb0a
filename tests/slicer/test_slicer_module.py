"""The 3D Slicer module against a stand-in for what it uses of Slicer; Slicer itself is not here."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
from argparse import ArgumentParser
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from bonelift.cli.arguments import add_common_options
from bonelift.cli.reconstruct import add_arguments

MODULE = Path(__file__).parents[2] / "slicer" / "BoneLift" / "BoneLift.py"


class Node:
    def __init__(self, path: str) -> None:
        self.path, self.name = Path(path).name, ""

    def SetName(self, name: str) -> None:  # noqa: N802 - Slicer's name
        self.name = name


class WidgetBase:
    def __init__(self, parent: object = None) -> None:
        self.layout = MagicMock()

    def setup(self) -> None:
        pass


@pytest.fixture
def module(monkeypatch):
    """The module, loaded as Slicer loads it, with Slicer's functions standing in."""
    slicer = types.ModuleType("slicer")
    slicer.util = types.SimpleNamespace(  # type: ignore[attr-defined]
        loadSegmentation=Node, loadModel=Node, loadTable=Node, startupEnvironment=lambda: dict(os.environ)
    )
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    for name in ("ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest"):
        setattr(scripted, name, type(name, (), {"__init__": lambda self, parent=None: None}))
    scripted.ScriptedLoadableModuleWidget = WidgetBase  # type: ignore[attr-defined]
    for name, content in (("slicer", slicer), ("slicer.ScriptedLoadableModule", scripted), ("qt", MagicMock())):
        monkeypatch.setitem(sys.modules, name, content)
    spec = importlib.util.spec_from_file_location("BoneLift", MODULE)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def result(folder: Path, bones: tuple[str, ...] = ("radius", "ulna")) -> Path:
    """The files of a result that the module looks at."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "side": "left",
        "bones": {name: {"file": f"{name}.stl" if name in bones else None} for name in ("radius", "ulna")},
        "quality": {"flags": [{"severity": "info", "text": "a"}, {"severity": "severe", "text": "b"}]},
    }
    (folder / "reconstruction.json").write_text(json.dumps(facts))
    for name in bones:
        (folder / f"{name}.stl").touch()
    if bones:
        (folder / "labels.seg.nrrd").touch()
        (folder / "measurements.csv").touch()
    return folder


def fake_command(folder: Path, body: str) -> str:
    """A program of the name of ours."""
    path = folder / "bonelift"
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_command_line_is_one_that_the_command_takes(module) -> None:
    words = module.BoneLiftLogic().command_line(
        "bonelift", ["a b.dcm", "l.png"], "out", ["pa", "lateral"], "left", 0.15
    )
    parser = ArgumentParser()
    add_common_options(parser)
    add_arguments(parser)
    options = parser.parse_args(words[2:])
    assert [path.name for path in options.images] == ["a b.dcm", "l.png"]
    assert (options.view, options.side, options.pixel_spacing_mm) == (["pa", "lateral"], "left", 0.15)
    assert options.files == "stl,seg,csv"
    assert options.json
    bare = module.BoneLiftLogic().command_line("bonelift", ["a.dcm"], "out")
    assert bare == ["bonelift", "reconstruct", "a.dcm", "--files", "stl,seg,csv", "--json", "--out", "out"]


@pytest.mark.parametrize(("images", "views"), [([], ()), (["a", "b", "c"], ()), (["a", "b"], ["pa"])])
def test_a_wrong_number_of_images_or_views_is_refused(module, images, views) -> None:
    with pytest.raises(ValueError, match="expected one"):
        module.BoneLiftLogic().command_line("bonelift", images, "out", views)


def test_a_run_ends_in_nodes_with_names(module, tmp_path) -> None:
    result(tmp_path / "made")
    command = fake_command(tmp_path, "assert sys.argv[1] == 'reconstruct'; print(json.dumps({'quality': 1}))")
    nodes = module.BoneLiftLogic().run(command, [tmp_path / "film.dcm"], tmp_path / "made", side="left")
    found = {key: (node.path, node.name) for key, node in nodes.items()}
    assert found == {
        "segmentation": ("labels.seg.nrrd", "left wrist"),
        "radius": ("radius.stl", "left radius"),
        "ulna": ("ulna.stl", "left ulna"),
        "measurements": ("measurements.csv", ""),
    }
    assert module.BoneLiftLogic().remarks(tmp_path / "made") == ["severe: b", "info: a"]


def test_without_a_wrist_nothing_is_loaded(module, tmp_path) -> None:
    assert module.BoneLiftLogic().load(result(tmp_path / "none", ())) == {}


def test_what_the_command_complains_of_is_the_error(module, tmp_path) -> None:
    command = fake_command(tmp_path, "print('bonelift: a.png: no side; pass --side', file=sys.stderr); sys.exit(2)")
    with pytest.raises(RuntimeError, match="no side; pass --side"):
        module.BoneLiftLogic().run(command, ["a.png"], tmp_path / "out")
    silent = fake_command(tmp_path, "sys.exit(1)")
    with pytest.raises(RuntimeError, match="status 1"):
        module.BoneLiftLogic().run(silent, ["a.png"], tmp_path / "out")


def test_the_command_does_not_get_slicer_s_own_python(module, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/slicer/python")
    monkeypatch.delattr(sys.modules["slicer"].util, "startupEnvironment")
    assert "PYTHONHOME" not in module.BoneLiftLogic().environment()
    assert module.BoneLiftLogic().environment()["PATH"] == os.environ["PATH"]


def test_the_form_starts_the_command_and_shows_what_the_result_says(module, tmp_path) -> None:
    widget = module.BoneLiftWidget()
    widget.setup()
    result(tmp_path / "made")
    command = fake_command(tmp_path, "print(json.dumps({}))")
    widget.command = types.SimpleNamespace(text=command)
    widget.images = types.SimpleNamespace(text=f"{tmp_path}/a.dcm;")
    widget.side = types.SimpleNamespace(currentText="left")
    widget.views = [types.SimpleNamespace(currentText="PA"), types.SimpleNamespace(currentText="from the file")]
    widget.spacing = types.SimpleNamespace(value=0.0)
    widget.status = MagicMock()
    widget.start_or_cancel()
    assert widget.process.args[2:5] == [f"{tmp_path}/a.dcm", "--view", "pa"]
    widget.process.wait()
    widget.folder = str(tmp_path / "made")
    widget.look()
    assert widget.process is None
    assert widget.status.setText.call_args.args[0].startswith("severe: b")
