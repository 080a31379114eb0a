"""Drawn outlines against shapes whose distance is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.experiments.film_outlines import (
    BoneOutline,
    distance_to_polyline,
    hanging,
    outline_distance,
    read_drawn_film,
    whole_distance_px,
)
from bonelift.geometry import rotation_about_axis

LENGTH, WIDTH = 400.0, 120.0
STEP = 4.0


def bar(grow: float = 0.0, length: float = LENGTH, turn: float = 0.0) -> np.ndarray:
    """(N, 2) px from one proximal end around: shaft edges, rounded distal end; grown by ``grow`` all round, cut open at
    the proximal end; ``turn`` in the picture, radians."""
    half = WIDTH / 2 + grow
    up = np.arange(length, WIDTH / 2, -STEP)
    angle = np.linspace(0, np.pi, 121)
    left = np.column_stack([np.full(len(up), -half), up])
    right = np.column_stack([np.full(len(up), half), up[::-1]])
    cap = np.column_stack([-half * np.cos(angle), WIDTH / 2 - half * np.sin(angle)])
    line = np.concatenate([left, cap, right])
    return 500 + line @ rotation_about_axis([0, 0, 1], turn)[:2, :2].T


def drawn(line: np.ndarray, hidden: slice | None = None) -> BoneOutline:
    visible = np.ones(len(line), dtype=bool)
    if hidden is not None:
        visible[hidden] = False
    return BoneOutline(line, visible)


def closed(line: np.ndarray) -> np.ndarray:
    return np.concatenate([line, line[:1]])


@pytest.mark.parametrize("grow", [-6.0, 0.0, 9.0])
@pytest.mark.parametrize("turn", [0.0, 0.6, np.pi])
def test_an_outline_at_a_known_offset_scores_that_offset(grow, turn):
    # Edge and rounded end are offset curves of each other: every distance is |grow|. The end is a polygon of 121
    # corners, whose chords cut the circle by less than 70 * (1 - cos(pi / 240)) = 0.006 px.
    result = outline_distance(drawn(bar(turn=turn)), [closed(bar(grow, turn=turn))])
    assert result.mean_px == pytest.approx(abs(grow), abs=0.01)
    assert result.p95_px == pytest.approx(abs(grow), abs=0.01)
    if grow:
        assert result.signed_mean_px == pytest.approx(grow, abs=0.01)
    assert 0.9 < result.compared < 1


def test_where_the_model_is_cut_is_no_error():
    # The model ends 150 px before the drawing does: what lies beyond is left out, and nothing else.
    short = outline_distance(drawn(bar()), [closed(bar(5.0, length=LENGTH - 150))])
    assert short.mean_px == pytest.approx(5.0, abs=0.01)
    assert short.p95_px == pytest.approx(5.0, abs=0.01)
    # Two shaft edges of 340 and the cap of 60 pi are drawn, 4 px apart along the edges, 121 points on the cap; the
    # model leaves out 150 px of either edge, and the margin 16 px: 4 points more.
    points = len(bar())
    left_out = 2 * (150 + 16) / STEP
    assert short.compared == pytest.approx(1 - left_out / points, abs=3 / points)


def test_what_was_inferred_does_not_count():
    line = bar()
    wrong = line.copy()
    cap = slice(85, 85 + 121)
    wrong[cap] += [0, -60]
    assert outline_distance(drawn(wrong), [closed(line)]).mean_px > 10
    assert outline_distance(drawn(wrong, hidden=cap), [closed(line)]).mean_px == pytest.approx(0, abs=1e-9)


def test_the_whole_outline_sees_a_model_that_slid_along_the_shaft():
    # Shaft edges alone are visible; the model lies 40 px too far distal, right in all else.
    line = bar()
    shaft_only = drawn(line, hidden=slice(85, 85 + 121))
    slid = [closed(line + np.array([0, -40.0]))]
    assert outline_distance(shaft_only, slid).mean_px == pytest.approx(0, abs=1e-6)
    # Along the cap a shift of 40 px is 40 |cos| off; edges are none. The cap is about a quarter of all points.
    assert whole_distance_px(shaft_only, slid) > 4
    assert whole_distance_px(shaft_only, [closed(line)]) == pytest.approx(0, abs=0.05)
    assert np.isnan(whole_distance_px(shaft_only, []))


def test_the_whole_outline_at_a_known_offset():
    # Both ways the distance is the offset; chords of the resampled cap cut it by 4^2 / (8 * 60) = 0.03 px.
    assert whole_distance_px(drawn(bar()), [closed(bar(7.0))]) == pytest.approx(7, abs=0.05)


def test_percentile_is_that_of_the_points():
    # The far edge lies 20 px off, the near one and the end do not: the mean is 20 times its share of the points.
    line = bar()
    moved = line.copy()
    edge = slice(len(line) - 85, len(line))
    moved[edge] += [20, 0]
    result = outline_distance(drawn(line), [closed(moved)])
    assert result.p95_px == pytest.approx(20, abs=0.1)
    assert 0 < result.mean_px < 20


def test_nothing_projected_is_nothing_compared():
    result = outline_distance(drawn(bar()), [])
    assert result.compared == 0
    assert np.isnan([result.mean_px, result.p95_px, result.signed_mean_px]).all()


def test_shaft_and_width_are_those_of_the_shape():
    for turn in (0.0, 0.7, 2.5):
        outline = drawn(bar(turn=turn))
        distal = rotation_about_axis([0, 0, 1], turn)[:2, :2] @ [0, -1]
        assert outline.distal_direction() == pytest.approx(distal, abs=1e-6)
        assert outline.width_px() == pytest.approx(WIDTH, abs=1e-6)


def test_distance_to_a_polyline_is_to_its_edges_and_ends():
    line = np.array([[0.0, 0.0], [10.0, 0.0]])
    points = np.array([[5.0, 3.0], [14.0, 3.0], [-1.0, 0.0]])
    assert distance_to_polyline(points, line) == pytest.approx([3.0, 5.0, 1.0])


def film_file(folder: Path, view: str, mirrored: bool = False, change=None) -> Path:
    line = bar() * [-1, 1] if mirrored else bar()
    bone = {"points": line.tolist(), "visible": [1] * len(line)}
    left, right = line[:, 0].min(), line[:, 0].max()
    joint = (
        {"ulnar": [right, 440], "radial": [left, 440]}
        if not mirrored
        else {"ulnar": [left, 440], "radial": [right, 440]}
    )
    if view == "lat":
        joint = {"palmar": joint["ulnar"], "dorsal": joint["radial"]}
    content = {
        "film": "made",
        "view": view,
        "image_size": [1000, 1200],
        "joint_line": joint,
        "bones": {"radius": bone, "ulna": bone},
    }
    if change:
        change(content)
    path = folder / "made.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("view", ["pa", "lat"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_hanging_flips_with_the_picture(tmp_path, view, mirrored):
    film = read_drawn_film(film_file(tmp_path, view, mirrored))
    distal, across = np.array([0.2, -1.0]), np.array([1.0, 0.3])
    assert hanging(film, distal, across).right is not mirrored
    assert hanging(film, distal, -across).right is mirrored
    upside_down = hanging(film, -distal, across)
    assert not upside_down.distal_right
    assert upside_down.side_right is not mirrored
    assert not upside_down.right


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("bones"),
        lambda content: content["bones"]["ulna"].update(points=[[0, 0]]),
        lambda content: content["bones"]["ulna"]["visible"].append(1),
        lambda content: content["bones"]["radius"]["points"].__setitem__(3, [float("nan"), 0]),
        lambda content: content.update(joint_line={"ulnar": [0, 0], "radial": [0, 0]}),
        lambda content: content.update(image_size=None),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, change):
    with pytest.raises(InputError, match=r"^made\.json: .*expected") as caught:
        read_drawn_film(film_file(tmp_path, "pa", change=change))
    assert "\n" not in str(caught.value)


def test_the_drawings_of_the_repository_are_read():
    folder = Path(__file__).resolve().parents[2] / "docs" / "results" / "outlines"
    films = [read_drawn_film(path) for path in sorted(folder.glob("*.json"))]
    assert len(films) == 40
    for film in films:
        assert film.distal[1] < 0  # Fingers up in all.
        for bone in film.bones.values():
            assert bone.points.min() >= 0
            assert (bone.points.max(axis=0) < film.size_px).all()
            assert bone.visible.any()
