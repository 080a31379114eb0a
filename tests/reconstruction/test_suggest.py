"""What a doubtful film looks like instead is told where it fits clearly better, and not otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bonelift.geometry import default_film_camera
from bonelift.images import Radiograph, RadiographOptions
from bonelift.networks.inference import LocatedWrist
from bonelift.origin import Origin
from bonelift.reconstruction import suggest as suggesting
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.locate import Sighting
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.suggest import inverted, suggest

OPTION, AS_READ = Origin("option", "option"), Origin("inferred", "inferred from the pixels", 1.0)
BESIDE_MM, BEHIND_MM = 18.0, 3.0


def film(view="pa", side="right", **provenance) -> Radiograph:
    """A bright bar on a dark film: the bar stands for a wrist of the ``Truth`` below. 0.25 mm at the wrist."""
    pixels = np.full((200, 160), 0.2, dtype=np.float32)
    pixels[:, 60:90] = 1.0
    return Radiograph(pixels, default_film_camera(160, 200, 0.25 * 1000 / 970), side, view, 970.0, provenance)


@dataclass(frozen=True)
class Truth:
    """What a film truly shows; bones are bright in its pixels unless it is ``dark``."""

    view: str = "pa"
    side: str = "right"
    dark: bool = False
    agreement: float = 0.7
    wrong_agreement: float = 0.2

    def fits(self, radiograph: Radiograph) -> bool:
        bright = bool(radiograph.pixels[100, 75] > radiograph.pixels[100, 5])
        return (radiograph.view, radiograph.side, bright) == (self.view, self.side, not self.dark)


def show(monkeypatch: pytest.MonkeyPatch, truth: Truth) -> None:
    """A locator that finds a wrist whatever it is told, and sees the ulna where the true view has it; a film that
    agrees with the bones where all facts are right."""
    across_px = (BESIDE_MM if truth.view == "pa" else BEHIND_MM) / 0.25
    located = LocatedWrist(
        np.array([80.0, 80.0]), np.array([80.0, 190.0]), np.array([80 + across_px, 90.0]), 0.9, np.ones(3), 0.0
    )
    monkeypatch.setattr(suggesting, "locate_wrist", lambda r, *_: (Sighting(r, located, 0.9, True, 3.0),))

    def carried(sighting, *_):
        agreement = truth.agreement if truth.fits(sighting.radiograph) else truth.wrong_agreement
        return suggesting.Hypothesis(sighting, 0.0, agreement, 0.0), None

    monkeypatch.setattr(suggesting, "carried", carried)


def suggested(*films: Radiograph, agreements=None):
    given = [0.2] * len(films) if agreements is None else agreements
    seen = [suggesting.locate_wrist(film, None, None)[0] for film in films]  # type: ignore[arg-type]
    return suggest(films, given, seen, [()] * len(films), None, JobSettings())  # type: ignore[arg-type]


def test_a_lateral_given_as_pa_is_named(monkeypatch):
    show(monkeypatch, Truth(view="lateral"))
    (one,) = suggested(film("pa"))
    assert one.changes == {"view": "lateral"}
    assert one.text == "this looks like a lateral; pass --view lateral if that is so"
    assert one.agreement == (0.2, 0.7)


@pytest.mark.parametrize(("provenance", "option"), [({}, "yes"), ({"polarity": AS_READ}, "no")])
def test_an_inverted_picture_is_named_with_the_option_that_undoes_it(monkeypatch, provenance, option):
    show(monkeypatch, Truth(dark=True))
    (one,) = suggested(film(**provenance))
    assert one.changes == {"invert": option}
    assert f"--invert {option}" in one.text


def test_view_and_polarity_wrong_at_once(monkeypatch):
    show(monkeypatch, Truth(view="lateral", dark=True))
    (one,) = suggested(film("pa"))
    assert one.changes == {"view": "lateral", "invert": "yes"}


def test_a_side_is_told_only_where_the_hanging_is_known(monkeypatch):
    """As recorded, a left PA film is the mirror image of a right one: without the hanging it may be either."""
    show(monkeypatch, Truth(side="left"))
    (one,) = suggested(film(hanging=OPTION))
    assert one.text == "this looks like a left wrist; pass --side left if that is so"
    assert suggested(film()) == ()
    show(monkeypatch, Truth("lateral", side="left"))
    assert suggested(film("lateral", hanging=OPTION)) == ()


def test_two_swapped_films_are_one_remark(monkeypatch):
    """Each stub knows one truth, so that each film is judged by its own."""
    first, second = film("pa"), film("lateral")
    found = []
    for truth, radiograph in ((Truth("lateral"), first), (Truth("pa"), second)):
        show(monkeypatch, truth)
        found += suggested(radiograph)
    (one,) = suggesting._swapped([first, second], found)
    assert one.facts == ("order",)
    assert "the two films look swapped" in one.text
    assert one.options == "--view lateral --view pa"
    assert suggesting._swapped([first, second], found[:1]) == ()


@pytest.mark.parametrize(
    "truth",
    [
        Truth(),  # the facts are right: nothing fits better
        Truth(view="lateral", agreement=0.38),  # another view fits better, and not well
        Truth(view="lateral", agreement=0.5, wrong_agreement=0.4),  # or hardly better
    ],
)
def test_nothing_is_said_without_a_clear_difference(monkeypatch, truth):
    show(monkeypatch, truth)
    given = [0.7] if truth.fits(film()) else [truth.wrong_agreement]
    assert suggested(film(), agreements=given) == ()


def test_the_ulna_has_its_say_in_the_view(monkeypatch):
    """A film that agrees with the bones of a lateral, on which the ulnar head lies well beside the radius."""
    show(monkeypatch, Truth(view="lateral"))
    shown = suggesting.locate_wrist(film(), None, None)[0]  # type: ignore[arg-type]
    beside = replace(shown.located, ulnar_head_px=np.array([80 + BESIDE_MM / 0.25, 90.0]))
    monkeypatch.setattr(suggesting, "locate_wrist", lambda r, *_: (replace(shown, radiograph=r, located=beside),))
    assert suggested(film("pa")) == ()


@pytest.mark.parametrize("as_given", [0.5, 0.9])
def test_a_pa_film_to_which_the_bones_of_a_lateral_were_bent_is_told_by_its_ulna(monkeypatch, as_given):
    """As a lateral it agrees with its bones, too: only the ulnar head lies where no lateral has it."""
    show(monkeypatch, Truth(view="pa", agreement=0.55, wrong_agreement=0.2))
    (one,) = suggested(film("lateral"), agreements=[as_given])
    assert one.changes == {"view": "pa"}
    assert suggested(film("pa"), agreements=[0.7]) == ()


def test_a_lateral_that_agrees_with_its_bones_is_left_alone(monkeypatch):
    show(monkeypatch, Truth(view="lateral", agreement=0.55, wrong_agreement=0.5))
    assert suggested(film("lateral"), agreements=[0.55]) == ()


def test_the_ulnar_head_is_measured_across_the_shaft():
    """At any turn of the picture: 18 mm beside the shaft and 4 mm up it."""
    for turn in np.deg2rad([0.0, 30.0, 200.0]):
        along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
        origin = np.array([70.0, 60.0])
        head = origin + (18.0 * across + 4.0 * along) / 0.25
        located = LocatedWrist(origin, origin + 40 / 0.25 * along, head, 0.9, np.ones(3), 0.0)
        assert abs(Sighting(film(), located, 0.9, True, 3.0).ulnar_head_across_mm) == pytest.approx(18.0, rel=1e-6)


def test_inverting_twice_gives_the_film_back():
    """But for a level: no percentile of the picture's own contrast is lost."""
    (demo,) = read_radiographs([load_demo_case().image])
    again = inverted(inverted(demo)).pixels
    inside = np.s_[20:-20, 20:-20]
    correlation = np.corrcoef(again[inside].ravel(), demo.pixels[inside].ravel())[0, 1]
    assert correlation > 0.99
    assert RadiographOptions(invert="yes").invert == "yes"
