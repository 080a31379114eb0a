"""How a picture hangs and where its wrist is: what is tried where the locator doubts, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.film.standard import film_from_landmarks
from bonelift.geometry import default_film_camera
from bonelift.images import Radiograph, RadiographOptions
from bonelift.networks.inference import LocatedWrist
from bonelift.origin import Origin
from bonelift.reconstruction import locate, reconsider
from bonelift.reconstruction.locate import LocateSettings, Sighting, locate_wrist
from bonelift.reconstruction.settings import JobSettings

INFERRED = Origin("inferred", "by a test")
ORIGIN_PX, SHAFT_PX = np.array([130.0, 150.0]), np.array([140.0, 310.0])
"""40 mm apart at 0.25 mm."""


def radiograph(side="right", view="pa") -> Radiograph:
    rows, columns = np.mgrid[:400, :301]
    pixels = (np.hypot(rows - 150, columns - 130) + 0.3 * columns).astype(np.float32)
    return Radiograph(pixels, default_film_camera(301, 400, 0.25 * 1000 / 970), side, view, 970.0)


def flipped(film: Radiograph) -> Radiograph:
    """As a clinic that shows its films mirrored would store it."""
    return replace(film, pixels=np.ascontiguousarray(film.pixels[:, ::-1]))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("view", "from_ulnar"), [("pa", False), ("lateral", False), ("lateral", True)])
def test_a_film_is_the_same_however_its_picture_hangs(side, view, from_ulnar):
    mirror = np.array([300, 0]), np.array([-1, 1])
    straight = film_from_landmarks(radiograph(side, view), ORIGIN_PX, SHAFT_PX, from_ulnar)
    hung = flipped(radiograph(side, view)).hung("mirrored", INFERRED)
    mirrored = film_from_landmarks(hung, *(mirror[0] + mirror[1] * px for px in (ORIGIN_PX, SHAFT_PX)), from_ulnar)
    np.testing.assert_allclose(mirrored.pixels, straight.pixels, atol=1e-5)
    np.testing.assert_allclose(mirrored.camera.image_from_camera, straight.camera.image_from_camera, atol=1e-6)
    np.testing.assert_allclose(mirrored.world_from_canonical, straight.world_from_canonical)


def test_a_mirrored_picture_shows_a_point_where_its_camera_says():
    film = radiograph()
    point = film.camera.back_project(ORIGIN_PX, 970.0)
    shown = flipped(film).hung("mirrored", INFERRED).camera.project(point)
    np.testing.assert_allclose(shown, [300 - ORIGIN_PX[0], ORIGIN_PX[1]], atol=1e-9)
    again = film.hung("mirrored", INFERRED).hung("as recorded", INFERRED)
    np.testing.assert_allclose(again.camera.image_from_camera, film.camera.image_from_camera)


def test_a_calibrated_camera_and_a_mirrored_picture_contradict_each_other():
    with pytest.raises(InputError, match="--hanging"):
        RadiographOptions(camera=default_film_camera(100, 100, 0.2), hanging="mirrored")


def see(monkeypatch: pytest.MonkeyPatch, confidence) -> None:
    """A locator that is as sure as ``confidence(radiograph, turn_deg, from_ulnar)`` says."""

    def look(film, _model, looks):
        return [LocatedWrist(ORIGIN_PX, SHAFT_PX, ORIGIN_PX, confidence(film, *way), np.ones(3), *way) for way in looks]

    monkeypatch.setattr(locate, "look", look)


def located(film: Radiograph) -> tuple[Sighting, ...]:
    return locate_wrist(film, None, LocateSettings())  # type: ignore[arg-type]


@pytest.mark.parametrize("truly", ["as recorded", "mirrored"])
def test_a_locator_without_doubt_gives_one_hypothesis(monkeypatch, truly):
    see(monkeypatch, lambda film, turn, _: 0.99 if film.hanging == truly and turn == 0 else 0.1)
    (sighting,) = located(radiograph())
    assert sighting.radiograph.hanging == truly
    assert sighting.radiograph.provenance["hanging"].kind == "inferred"


def test_a_locator_in_doubt_gives_both_hangings_the_better_one_first(monkeypatch):
    see(monkeypatch, lambda film, turn, _: (0.95 if film.hangs_mirrored else 0.90) if turn == 20 else 0.6)
    first, second = located(radiograph())
    assert [s.radiograph.hanging for s in (first, second)] == ["mirrored", "as recorded"]
    assert first.located.turn_deg == second.located.turn_deg == 20


def test_what_is_stated_is_not_tried_otherwise(monkeypatch):
    see(monkeypatch, lambda _film, _turn, _palm: 0.9)
    stated = radiograph().hung("mirrored", Origin("option", "option --hanging"))
    calibrated = replace(radiograph(), provenance={"camera": Origin("option", "option --camera")})
    assert [s.radiograph.hanging for s in located(stated)] == ["mirrored"]
    assert [s.radiograph.hanging for s in located(calibrated)] == ["as recorded"]
    assert sorted(s.located.from_ulnar for s in located(radiograph(view="lateral"))) == [False, True]


@dataclass
class FakeReading:
    """A reading whose film agrees with it as the distance of its origin from the true one says."""

    sightings: tuple[Sighting, ...]
    stances: tuple = ()
    pose_was_read: bool = False

    def agreements(self) -> tuple[float, ...]:
        return tuple(agreement_of(sighting) for sighting in self.sightings)


def agreement_of(sighting: Sighting) -> float:
    off_mm = np.linalg.norm(sighting.located.origin_px - TRUE_PX) * 0.25
    return float(0.8 * np.exp(-((off_mm / 6) ** 2))) * (sighting.radiograph.hanging == "mirrored")


TRUE_PX = ORIGIN_PX + (SHAFT_PX - ORIGIN_PX) * 9.0 / 40.0
"""9 mm further up the forearm than where the locator sees it."""


def sightings(*evidence: float) -> list[Sighting]:
    seen = LocatedWrist(ORIGIN_PX, SHAFT_PX, ORIGIN_PX, 0.9, np.ones(3), 0.0)
    hung = [radiograph().hung(hanging, INFERRED) for hanging in ("as recorded", "mirrored")]
    return [Sighting(film, seen, 0.9, True, e) for film, e in zip(hung, evidence, strict=False)]


def test_the_hypothesis_that_the_film_agrees_with_is_kept(monkeypatch):
    monkeypatch.setattr(reconsider, "read_wrist", lambda seen, *_: FakeReading(tuple(seen)))
    hypotheses = [sightings(2.5, 2.0)]
    start = FakeReading((hypotheses[0][0],))
    found, (tried,) = reconsider.reconsider(start, hypotheses, None, JobSettings())  # type: ignore[arg-type]
    (sighting,) = found.sightings
    assert sighting.radiograph.hanging == "mirrored"
    assert np.linalg.norm(sighting.located.origin_px - TRUE_PX) * 0.25 < 1.5  # 8 of the 9 mm is the nearest step
    assert [h.score for h in tried] == sorted((h.score for h in tried), reverse=True)


@pytest.fixture
def searched(monkeypatch) -> list[Sighting]:
    """Poses are read; what was searched for in full is noted here."""
    found: list[Sighting] = []

    def read(seen: list[Sighting], _model, how: JobSettings, _clock) -> FakeReading:
        is_glance = how.place.read == JobSettings().reconsider.glance
        found.extend([] if is_glance else seen)
        return FakeReading(tuple(seen), pose_was_read=True)

    monkeypatch.setattr(reconsider, "read_wrist", read)
    return found


def test_where_a_pose_is_read_all_are_glanced_at_and_the_best_are_searched(searched):
    """Eight hypotheses, of which two are searched for in full; the one that is kept is not searched for again."""
    hypotheses = [sightings(2.5, 2.0)]
    start = FakeReading((hypotheses[0][0],), pose_was_read=True)
    found, (tried,) = reconsider.reconsider(start, hypotheses, None, JobSettings())  # type: ignore[arg-type]
    assert len(tried) == 8
    assert len(searched) == JobSettings().reconsider.finalists
    assert np.linalg.norm(found.sightings[0].located.origin_px - TRUE_PX) * 0.25 < 1.5


def test_what_was_searched_for_already_is_not_searched_for_again(searched):
    """The first sighting has the most evidence by far, so that it is a finalist; its reading is there."""
    hypotheses = [sightings(50.0, 2.0)]
    start = FakeReading((hypotheses[0][0],), pose_was_read=True)
    found, (tried,) = reconsider.reconsider(start, hypotheses, None, JobSettings())  # type: ignore[arg-type]
    assert found is start
    assert tried[0].sighting is hypotheses[0][0]
    assert len(searched) == JobSettings().reconsider.finalists - 1
    assert all(sighting is not hypotheses[0][0] for sighting in searched)


def test_nothing_is_tried_where_locator_and_film_agree(monkeypatch):
    def refuse(*_):
        raise AssertionError("a hypothesis was carried through without need")

    monkeypatch.setattr(reconsider, "read_wrist", refuse)
    (sighting,) = sightings(5.0)
    sure = replace(sighting, radiograph=sighting.radiograph.hung("mirrored", INFERRED))
    sure = replace(sure, located=replace(sure.located, origin_px=TRUE_PX))
    start = FakeReading((sure,))
    found, tried = reconsider.reconsider(start, [[sure]], None, JobSettings())  # type: ignore[arg-type]
    assert found is start
    assert tried == ((),)
