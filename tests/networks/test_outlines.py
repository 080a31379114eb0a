"""Readings corrected by outlines: against bones whose outlines are told exactly, alone and in two views."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.film.standard import FILM_SHAPE
from bonelift.images import View
from bonelift.networks import outlines as module
from bonelift.networks.occluding_contour import POSE, Contours, OutlinedBones, outlined
from bonelift.networks.outlines import (
    FEATURES,
    Hidden,
    OutlineNetwork,
    OutlineReader,
    SeenWrist,
    Source,
    corrected,
    features,
    outline_arrays,
    outlines_from_arrays,
    read_together,
)
from builders.posed_readings import px_from_radius, reading_of
from builders.spot_films import spot_bases

BLANK = np.zeros(FILM_SHAPE, np.float32)


@pytest.fixture(scope="module")
def bones() -> OutlinedBones:
    return OutlinedBones(spot_bases())


class Told:
    """Stands for a network that sees every offset exactly."""

    def __init__(self, true: np.ndarray, bones: OutlinedBones, view: View, sd: float = 0.2) -> None:
        self.true, self.bones, self.view, self.sd = true, bones, view, sd

    def offsets(self, found: Contours) -> tuple[np.ndarray, np.ndarray]:
        px = px_from_radius(self.true, self.bones, self.view)
        offsets = found.offsets(self.true[: self.bones.code_length], px)
        return offsets, np.full(len(offsets), self.sd)


@pytest.fixture
def told(monkeypatch):
    """Contours are handed on instead of what a picture shows around them."""
    monkeypatch.setattr(module, "features", lambda found, drr, film=None: found)


def case(bones: OutlinedBones, seed: int, sd: float = 0.2):
    """One wrist in two views, its readings off by draws of their covariance."""
    rng = np.random.default_rng(seed)
    covariance = np.diag(np.full(bones.numbers, 0.3**2))
    code = 0.7 * rng.normal(size=bones.code_length)
    seen, readers, truths = [], {}, []
    views: tuple[View, ...] = ("pa", "lateral")
    for view in views:
        true = np.concatenate([code, 0.3 * rng.normal(size=POSE)])
        reading = true + 0.3 * rng.normal(size=bones.numbers)
        readers[view, "drr"] = OutlineReader(Told(true, bones, view, sd), covariance)
        seen.append(SeenWrist(view, reading, BLANK))
        truths.append(true)
    return seen, readers, truths


def shape_error(code: np.ndarray, true: np.ndarray, bones: OutlinedBones) -> float:
    """Root mean square of the shape numbers' errors: what no placement hides."""
    shape = np.concatenate([np.arange(part.start, part.stop - 6) for part in bones.parts])
    return float(np.sqrt(((code[shape] - true[shape]) ** 2).mean()))


def test_outlines_correct_a_reading_and_two_views_more(bones, told):
    before, alone, both = [], [], []
    for seed in range(6):
        seen, readers, truths = case(bones, seed)
        before.append(shape_error(seen[0].reading, truths[0], bones))
        code, poses = corrected(seen[:1], bones, readers)
        assert code.shape == (bones.code_length,)
        assert len(poses) == 1
        alone.append(shape_error(code, truths[0], bones))
        code, poses = corrected(seen, bones, readers)
        both.append(shape_error(code, truths[0], bones))
        for pose, true in zip(poses, truths, strict=True):
            # Turned about the beam and shifted across it a wrist is seen best.
            assert np.abs(pose - true[bones.code_length :]).mean() < 0.3
    assert np.mean(alone) < 0.75 * np.mean(before)
    assert np.mean(both) < 0.7 * np.mean(alone)


def test_how_far_each_picture_was_corrected_is_told(bones, told):
    """In SD of the errors of its own reading, which the other view's outlines do not change."""
    seen, readers, _ = case(bones, 3)
    together = read_together(seen, bones, readers)
    assert together is not None
    np.testing.assert_array_equal(together.code, corrected(seen, bones, readers)[0])
    assert len(together.poses) == len(together.signs) == 2
    for wrist, sign in zip(seen, together.signs, strict=True):
        alone = read_together([wrist], bones, readers)
        code, (pose,) = corrected([wrist], bones, readers)
        assert alone is not None
        np.testing.assert_array_equal(alone.code, code)
        square = np.square(np.concatenate([code, pose]) - wrist.reading).mean() / 0.3**2
        assert [one.step for one in alone.signs] == pytest.approx([square])
        assert sign.step == pytest.approx(square)
        assert all(0 < sd_px < 4 for sd_px in sign.sd_px)
    assert read_together([], bones, readers) is None
    assert read_together(seen, bones, {("pa", "drr"): readers["pa", "drr"]}) is None


def test_outlines_that_are_not_sure_of_anything_leave_the_reading(bones, told):
    seen, readers, _ = case(bones, 1, sd=1e4)
    code, (pose,) = corrected(seen[:1], bones, readers)
    np.testing.assert_allclose(np.concatenate([code, pose]), seen[0].reading, atol=1e-3)


def test_two_readings_are_weighed_by_their_whole_covariance(bones, told):
    """Of a sum that one view knows and a difference that the other one knows, both are known together."""
    seen, readers, truths = case(bones, 2, sd=1e4)
    true = truths[0][: bones.code_length]
    sure, loose = 1e-4, 25.0
    for wrist, sign, key in zip(range(2), (1.0, -1.0), readers, strict=True):
        covariance = np.diag(np.full(bones.numbers, sure))
        known = np.array([1.0, sign]) / np.sqrt(2)
        unknown = np.array([1.0, -sign]) / np.sqrt(2)
        covariance[:2, :2] = sure * np.outer(known, known) + loose * np.outer(unknown, unknown)
        readers[key] = replace(readers[key], covariance=covariance)
        reading = np.concatenate([true, seen[wrist].reading[bones.code_length :]])
        reading[:2] += 3 * unknown
        seen[wrist] = replace(seen[wrist], reading=reading)
    code, _ = corrected(seen, bones, readers)
    np.testing.assert_allclose(code[:2], true[:2], atol=0.05)


def test_features_see_the_edge_and_not_the_scale(bones):
    found = outlined(bones, reading_of(bones, 3), "pa", 30)
    rng = np.random.default_rng(0)
    drr = rng.random(FILM_SHAPE).astype(np.float32)
    film = rng.random(FILM_SHAPE).astype(np.float32)
    seen = features(found, drr)
    assert seen.shape == (60, FEATURES["drr"])
    np.testing.assert_allclose(features(found, 7 * drr), seen, rtol=1e-4, atol=1e-5)
    both = features(found, drr, film)
    assert both.shape == (60, FEATURES["film"])
    np.testing.assert_allclose(both[:, : module.SAMPLES], seen[:, : module.SAMPLES])
    # A picture that brightens to the right shows it along an outline that faces right.
    ramp = np.broadcast_to(np.arange(FILM_SHAPE[1], dtype=np.float32) + 1, FILM_SHAPE)
    along = features(found, ramp)[:, : module.SAMPLES].reshape(60, len(module.ALONG_PX), -1)[:, :, 1]
    rising = np.diff(along, axis=1).mean(axis=1)
    inside = (found.points_px[:, 0] > 12) & (found.points_px[:, 0] < FILM_SHAPE[1] - 12)
    assert np.corrcoef(rising[inside], found.outward_px[inside, 0])[0, 1] > 0.95


def test_an_empty_picture_gives_numbers(bones):
    assert np.isfinite(features(outlined(bones, reading_of(bones, 3), "pa", 30), BLANK, BLANK)).all()


def readers(outputs: int) -> dict[tuple[View, Source], OutlineReader]:
    rng, numbers = np.random.default_rng(0), outputs + POSE
    made: dict[tuple[View, Source], OutlineReader] = {}
    kinds: tuple[tuple[View, Source], ...] = (("pa", "drr"), ("lateral", "film"))
    for view, source in kinds:
        widths = (FEATURES[source], 5, 2)
        weights = tuple(rng.normal(size=pair).astype(np.float32) for pair in pairwise(widths))
        biases = tuple(rng.normal(size=width).astype(np.float32) for width in widths[1:])
        network = OutlineNetwork(np.zeros(widths[0], np.float32), np.ones(widths[0], np.float32), weights, biases)
        root = rng.normal(size=(numbers, numbers))
        made[view, source] = OutlineReader(network, root @ root.T + np.eye(numbers))
    return made


def test_what_is_written_is_read_again():
    made = readers(18)
    again = outlines_from_arrays(outline_arrays(made), 18)
    assert again.keys() == made.keys()
    seen = np.random.default_rng(1).normal(size=(4, FEATURES["drr"])).astype(np.float32)
    for found, known in zip(
        again["pa", "drr"].network.offsets(seen), made["pa", "drr"].network.offsets(seen), strict=True
    ):
        np.testing.assert_allclose(found, known)
    np.testing.assert_allclose(again["lateral", "film"].covariance, made["lateral", "film"].covariance, rtol=1e-5)
    assert outlines_from_arrays({}, 18) == {}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("weight_0", None, "missing"),
        ("covariance", lambda a: a[:-1], "do not fit"),
        ("covariance", lambda a: -a, "not usable"),
        ("weight_1", lambda a: a.T, "do not fit"),
        ("bias_1", lambda a: a * np.nan, "not usable"),
        ("sd", lambda a: 0 * a, "not usable"),
        ("mean", lambda a: a[1:], "do not fit"),
    ],
)
def test_damaged_arrays_are_named(name, change, message):
    arrays = dict(outline_arrays(readers(18)))
    key = f"outlines/pa/drr/{name}"
    if change is None:
        del arrays[key]
    else:
        arrays[key] = change(arrays[key])
    with pytest.raises(InputError, match=rf"outlines/pa/drr/.*{message}"):
        outlines_from_arrays(arrays, 18)


def test_offsets_are_no_surer_than_an_edge_can_be_seen():
    network = readers(18)["pa", "drr"].network
    sure = replace(
        network, weights=(network.weights[0], 0 * network.weights[1]), biases=(network.biases[0], np.float32([1, -50]))
    )
    offsets, sd = sure.offsets(np.zeros((3, FEATURES["drr"]), np.float32))
    np.testing.assert_allclose(offsets, 1.0)
    np.testing.assert_allclose(sd, module.LEAST_SD_PX)


def test_nothing_is_believed_of_a_hidden_bone_but_what_is_seen_of_it(bones, told):
    """Whatever S read of the ulna, the same ulna comes out; and where nothing at all is seen it is the mean one."""
    (wrist, *_), readers, _ = case(bones, 3)
    reader = readers[wrist.view, wrist.source]
    ulna = bones.parts[1]
    nothing = np.zeros(wrist.drr.shape, dtype=bool)

    def read(change: float, mask: np.ndarray) -> np.ndarray:
        reading = wrist.reading.copy()
        reading[ulna] += change
        return corrected([replace(wrist, reading=reading, hidden=Hidden(mask, (1,)))], bones, readers)[0]

    np.testing.assert_allclose(read(0.0, nothing), read(5.0, nothing))
    np.testing.assert_allclose(read(0.0, ~nothing)[ulna], 0.0, atol=1e-9)
    mean, precision = replace(wrist, hidden=Hidden(nothing, (1,))).expected(reader, bones)
    np.testing.assert_array_equal(mean[bones.parts[0]], wrist.reading[bones.parts[0]])
    np.testing.assert_allclose(np.linalg.inv(precision)[ulna, ulna], np.eye(ulna.stop - ulna.start), atol=1e-6)


def test_points_near_the_end_of_a_picture_are_not_looked_at():
    mask = np.zeros((160, 128), dtype=bool)
    mask[:, 100:] = True
    hidden = Hidden(mask)
    points = np.array([[50.0, 80.0], [99.0, 80.0], [94.0, 80.0], [110.0, 80.0], [-3.0, 80.0], [50.0, 161.0]])
    assert hidden.hides(points).tolist() == [False, True, False, True, True, True]
