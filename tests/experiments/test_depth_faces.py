"""Depth maps of both faces: made from labels and turned back into labels they give the same bones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bonelift.errors import InputError
from bonelift.experiments.methods.depth_faces import (
    MAPS,
    MM_PER_UNIT,
    DepthFaces,
    face_loss,
    face_maps,
    face_metrics,
)
from bonelift.experiments.methods.nominal import SOURCE_TO_OBJECT_MM, nominal_film_camera, nominal_pose
from bonelift.film.standard import FILM_SHAPE
from bonelift.geometry import apply_transform
from bonelift.images import LAPTOP_GRID
from bonelift.images.volume import BONES
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.bones import bone_surface
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.surface.distance import surface_distances
from bonelift.surface.voxelize import soft_label

VIEWS = ("pa", "lateral")


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    truth = load_demo_case().truth
    return np.round(255 * np.stack([soft_label(truth[bone], LAPTOP_GRID) for bone in BONES])).astype(np.uint8)


def certain(faces: torch.Tensor) -> torch.Tensor:
    """Maps of a network that is sure: logits in the place of 0 and 1."""
    maps = faces.clone()
    maps[0::MAPS] = 20 * (2 * maps[0::MAPS] - 1)
    return maps


@pytest.mark.parametrize("view", VIEWS)
def test_true_maps_give_the_bones_back(labels, view):
    geometry = face_maps(LAPTOP_GRID, view, FILM_SHAPE)
    fields = geometry.fields(certain(geometry.faces(labels)), LAPTOP_GRID.spacing_mm)
    for field, label in zip(fields, labels, strict=True):
        found, true = bone_surface(field, LAPTOP_GRID), bone_surface(label.astype(np.float32) / 255, LAPTOP_GRID)
        # What a ray enters twice is lost, and so is a rim that it only grazes.
        assert surface_distances(found, true).asd_surface_mm < 0.35


@pytest.mark.parametrize("view", VIEWS)
def test_depths_are_those_of_the_surface_along_a_ray(view):
    """A ball of 9 mm about a point of the grid: entered 9 mm before its middle, left 9 mm behind it."""
    middle = np.array([2.0, -3.0, -10.0])
    away = np.linalg.norm(LAPTOP_GRID.centres_mm() - middle, axis=-1)
    ball = np.clip(0.5 + (9 - away) / LAPTOP_GRID.spacing_mm, 0, 1)
    faces = face_maps(LAPTOP_GRID, view, FILM_SHAPE).faces(np.round(255 * np.stack([ball, 0 * ball])).astype(np.uint8))
    camera = nominal_film_camera()
    at = apply_transform(nominal_pose(camera, view), middle[None])[0]
    column, row = np.round(camera.project(at)).astype(int)
    meets, front, back = faces[:MAPS, row, column].numpy()
    assert meets == 1
    depth_mm = at[2] - SOURCE_TO_OBJECT_MM
    np.testing.assert_allclose(MM_PER_UNIT * np.array([front, back]), [depth_mm - 9, depth_mm + 9], atol=0.3)
    assert faces[MAPS].sum() == 0  # there is no ulna
    area_mm2 = float(faces[0].sum()) * 0.5**2
    assert area_mm2 == pytest.approx(np.pi * 81, rel=0.05)


def test_the_loss_is_small_where_the_maps_are_right(labels):
    true = face_maps(LAPTOP_GRID, "pa", FILM_SHAPE).faces(labels)[None]
    right = torch.stack([certain(true[0])])
    assert float(face_loss(right, true)) < 1e-3
    off = right.clone()
    off[:, 1] += 0.2
    assert face_metrics(off, true)["depth_mm"] == pytest.approx(
        2.0 * float(true[:, 0].sum()) / (2 * float(true[:, 0].sum() + true[:, MAPS].sum())), rel=1e-3
    )


def test_an_image_that_was_not_translated_is_refused():
    network = DepthFaces(torch.nn.Identity(), LAPTOP_GRID, {})
    with pytest.raises(InputError, match="no bone-only image"):
        network([WristImage("pa", None, np.zeros(FILM_SHAPE, np.float32))])
