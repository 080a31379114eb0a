"""`bonelift` and `bonelift compare`, run as a person runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from bonelift.cli import command_line, main
from bonelift.geometry.patient_frame import PATIENT_FROM_OWN_SIDE
from bonelift.surface.clip import clip_below
from bonelift.surface.closing import closed_ends
from bonelift.surface.files import write_stl
from bonelift.surface.mesh import TriangleMesh


def ball(radius_mm: float, centre=(0.0, 0.0, 0.0)) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=radius_mm)
    return TriangleMesh(np.asarray(sphere.vertices) + centre, np.asarray(sphere.faces, dtype=np.int32))


@pytest.fixture
def balls(tmp_path):
    write_stl(tmp_path / "small.stl", ball(10.0))
    write_stl(tmp_path / "large.stl", ball(12.0))
    write_stl(tmp_path / "moved.stl", ball(10.0, (3.0, 0.0, 0.0)))
    return tmp_path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_two_balls_are_apart_by_the_difference_of_their_radii(balls, capsys):
    assert run("compare", balls / "small.stl", balls / "large.stl", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    # 642 corners: the chords of the larger ball lie 0.05 mm inside it, and vertices face vertices.
    assert result["asd_surface_mm"] == pytest.approx(2.0, abs=0.05)
    assert result["asd_paper_mm"] == pytest.approx(2.0, abs=0.05)
    assert result["maximum_mm"] == pytest.approx(2.0, abs=0.06)
    assert result["alignment"] == "none"


def test_alignment_removes_a_shift_and_is_named(balls, capsys):
    assert run("compare", balls / "small.stl", balls / "moved.stl") == 0
    as_stored = capsys.readouterr().out
    assert "as stored, no alignment" in as_stored
    assert run("compare", balls / "small.stl", balls / "moved.stl", "--align", "rigid") == 0
    assert "after rigid alignment" in capsys.readouterr().out
    assert run("compare", balls / "small.stl", balls / "moved.stl", "--align", "rigid", "--json") == 0
    assert json.loads(capsys.readouterr().out)["asd_surface_mm"] < 0.05  # facets of two turned balls: 0.03 mm


def test_quiet_prints_nothing(balls, capsys):
    assert run("compare", balls / "small.stl", balls / "large.stl", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "call",
    [
        ["frobnicate"],
        ["--frobnicate"],
        ["compare"],
        ["compare", "a.stl"],
        ["compare", "a.stl", "b.stl", "--align", "affine"],
        ["compare", "missing.stl", "missing.stl"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_gives_status_2_and_one_line(call, capsys):
    assert main(call) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("bonelift: ")
    assert error.count("\n") == 1


def test_help_and_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bonelift ")
    for call in [[], ["--help"]]:
        assert main(call) == 0
        text = capsys.readouterr().out
        assert "not a medical device" in text
        assert all(name in text for name in command_line.COMMANDS)


@pytest.mark.parametrize("name", list(command_line.COMMANDS))
def test_each_commands_help_fits_one_screen(name, capsys):
    assert main([name, "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 50


def test_a_fault_of_ours_is_status_1_and_shows_where_on_request(balls, capsys, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("a bug\nin two lines")

    monkeypatch.setattr("bonelift.cli.compare.compare_surfaces", broken)
    call = ["compare", str(balls / "small.stl"), str(balls / "large.stl")]
    assert main(call) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "RuntimeError: a bug in two lines" in error
    assert main([*call, "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_status_130(balls, capsys, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bonelift.cli.compare.compare_surfaces", interrupted)
    assert run("compare", balls / "small.stl", balls / "large.stl") == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_bone_in_centimetres_beside_one_in_millimetres_is_refused(tmp_path, capsys):
    block = trimesh.creation.box(extents=(20, 30, 60))
    block.export(tmp_path / "mm.stl")
    block.apply_scale(0.1).export(tmp_path / "cm.stl")
    assert main(["compare", str(tmp_path / "mm.stl"), str(tmp_path / "cm.stl")]) == 2
    assert "mm.stl is 60 mm long, cm.stl 6 mm: not one bone, or not one unit" in capsys.readouterr().err


def test_a_result_of_an_older_version_and_its_cap_change_no_distance(tmp_path, capsys):
    """Older versions wrote the open surface in the radius frame; now it is closed, and in the patient frame."""
    bone = clip_below(ball(10.0, (2.0, 3.0, -4.0)), -8.0)  # radius frame of the own side
    closed, caps = closed_ends(bone.transformed(PATIENT_FROM_OWN_SIDE))
    write_stl(tmp_path / "new.stl", closed, caps)
    write_stl(tmp_path / "old.stl", bone)
    body = (tmp_path / "old.stl").read_bytes()[80:]
    (tmp_path / "old.stl").write_bytes(b"bonelift 0.1.0; units mm; research use only".ljust(80) + body)
    assert main(["compare", str(tmp_path / "new.stl"), str(tmp_path / "old.stl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["maximum_mm"] < 1e-4  # float32; the middle of the cap lies 8 mm from the open surface
    assert found["compared_fraction"] == pytest.approx(1)
