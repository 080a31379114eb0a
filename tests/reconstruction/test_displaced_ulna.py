"""An ulna that S reads some mm beside its place is brought back by its outlines."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.images.volume import BONES
from bonelift.networks.model import load_model
from bonelift.networks.occluding_contour import POSE_SD, OutlinedBones, outlined
from bonelift.networks.outlines import SeenWrist, corrected
from bonelift.networks.views import VIEW_CODES
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.locate import locate_wrist
from bonelift.reconstruction.reading import read_wrist
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch

MODEL = load_model(None)
OUTLINED = OutlinedBones([MODEL.bases[bone] for bone in BONES])


@pytest.fixture(scope="module")
def demo() -> SeenWrist:
    """The packaged patient's PA film, and what S reads from it before any outline is looked at."""
    how = JobSettings()
    (radiograph,) = read_radiographs([load_demo_case().image])
    reading = read_wrist(locate_wrist(radiograph, MODEL, how.locate)[:1], MODEL, how, Stopwatch())
    drr, film = reading.drrs[0], reading.films[0].film.pixels
    pictures = np.stack([drr, film])[None].astype(np.float32)
    code, _, pose = MODEL.run("read_shape", pictures, np.array([VIEW_CODES["pa"]]))
    return SeenWrist("pa", np.concatenate([code[0], pose[0] / POSE_SD]).astype(np.float64), drr, film)


def ulna_points_px(seen: SeenWrist, reading: np.ndarray) -> np.ndarray:
    """(N, 2) the outline of the ulna."""
    return outlined(OUTLINED, reading, seen.view).parts[1].points_px


@pytest.mark.parametrize("off_mm", [(3.0, 0.0, 0.0), (-3.0, 0.0, 0.0), (0.0, 0.0, 4.0), (0.0, 0.0, -4.0)])
def test_the_outline_of_the_ulna_is_found_again(demo, off_mm):
    """Across (x) and along the shaft (z), which a PA film shows."""
    told, (pose,) = corrected([demo], OUTLINED, MODEL.outlines)
    right = ulna_points_px(demo, np.concatenate([told, pose]))
    displaced = demo.reading.copy()
    displaced[OUTLINED.ulna_place] += np.array(off_mm) / OUTLINED.ulna_place_sd_mm
    code, (pose,) = corrected([SeenWrist("pa", displaced, demo.drr, demo.film)], OUTLINED, MODEL.outlines)
    before = distance(ulna_points_px(demo, displaced), right)
    after = distance(ulna_points_px(demo, np.concatenate([code, pose])), right)
    assert before > 2.0
    assert after < 0.3 * before


def distance(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of each point from the nearest other, px."""
    return float(np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1).mean())
