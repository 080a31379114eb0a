"""What a notebook shows of a reconstruction; and the folder that `save` writes."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import bonelift


@pytest.fixture(scope="module")
def found() -> bonelift.Reconstruction:
    return bonelift.reconstruct(bonelift.demo_case().radiograph)


def test_the_figure_has_picture_verdict_flags_and_measurements(found):
    page = found._repr_html_()
    assert found.verdict in page
    assert "Research software" in page
    for value in found.result.measurements:
        assert value.name in page
    alt = re.search(r'alt="([^"]*)"', page)
    assert alt is not None
    assert alt[1] == "PA radiograph of a right wrist with the outlines of the reconstructed radius and ulna"
    picture = Image.open(io.BytesIO(found._repr_png_()))
    colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or []}
    assert any(red > 180 and blue < 60 for red, _, blue in colours)  # the radius' orange
    assert (
        repr(found) == f"<bonelift.Reconstruction: right wrist, pa, {found.verdict}, quality {found.quality.score:.2f}>"
    )


def test_bones_and_poses_share_the_frame_of_the_files(found, tmp_path):
    folder = found.save(tmp_path / "result", files=["stl"])
    content = json.loads((folder / "reconstruction.json").read_text())
    for bone, mesh in found.bones.items():
        # STL holds float32: 1e-5 mm at 100 mm.
        assert bonelift.compare_surfaces(bonelift.read_mesh(folder / f"{bone}.stl"), mesh).hd95_mm < 0.05
        placed = mesh.transformed(found.poses[0][bone]).vertices
        told = found.result.placed[0].bones_world[bone].vertices
        assert abs(placed - told).max() < 1e-9
    np.testing.assert_allclose(found.poses[0]["wrist"], content["world_from_patient"], atol=1e-9)
    assert not (folder / "bones.glb").exists()
    assert bonelift.measure(found.bones, found.side)["radial inclination (3D)"].value == pytest.approx(
        found.measurements["radial inclination (3D)"].value
    )


def test_a_folder_with_something_else_is_not_replaced(found, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(bonelift.InputError, match="not an earlier bonelift result"):
        found.save(tmp_path)
    with pytest.raises(bonelift.InputError, match="files is str 'obj'; expected 'stl' or"):
        found.save(tmp_path / "new", files=["obj"])
    assert not (tmp_path / "new").exists()
