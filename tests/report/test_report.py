"""The report: silhouettes against closed forms, pictures from the right side, a page that is safe and whole."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bonelift import RESEARCH_NOTICE
from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.errors import InputError
from bonelift.geometry import default_film_camera, rigid_from_vector, translation
from bonelift.report.bone_views import VIEWS, anatomical, edge_words, render_error_maps, render_view, view_axes
from bonelift.report.content import (
    Fact,
    Flag,
    Measurement,
    ReportContent,
    ReportFilm,
    TruthComparison,
    case_label,
)
from bonelift.report.film_svg import outlines_svg
from bonelift.report.html import render_report, write_report
from bonelift.report.overlay import (
    film_figure,
    film_outlines,
    gan_drr_image,
    named_edges,
    overlay_image,
    silhouette_outlines,
)
from bonelift.report.palette import OUTLINE_COLOURS, error_colours, hex_colour, png_bytes
from bonelift.report.rasterise import fill_mask, render_attributes
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh
from builders.report_content import ball, film_of_balls, two_balls

EMPTY = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))


@pytest.fixture(scope="module")
def bones() -> dict[str, TriangleMesh]:
    return two_balls()


@pytest.fixture(scope="module")
def film() -> ReportFilm:
    return replace(film_of_balls(), world_from_radius=None)


@pytest.fixture(scope="module")
def content(film, bones) -> ReportContent:
    return ReportContent(
        title="Right wrist, PA view",
        side="right",
        films=(film,),
        bones=bones,
        facts=(Fact("Pixel spacing", "0.500 mm", "ImagerPixelSpacing (0018,1164)"),),
        measurements=(Measurement("Palmar tilt", -10.83, "deg"), Measurement("Ulnar variance", float("nan"), "mm")),
        flags=(Flag("info", "the lesser remark"), Flag("severe", "the graver remark")),
        quality_score=0.71,
        model_id="model-under-test",
        model_sha256="0123abcd" * 8,
        timings_s={"read": 0.12, "place": 1.5},
    )


def test_silhouette_of_a_ball_is_its_circle_on_the_film():
    camera = default_film_camera(200, 160, 0.5)
    centre_px, depth_mm, radius_mm = np.array([99.5, 79.5]), 900.0, 15.0
    (line,) = silhouette_outlines(ball(radius_mm, (0, 0, depth_mm), 5), camera)
    # On the axis the cone that touches the ball has half-angle asin(R / d).
    expected_px = 1000 / 0.5 * np.tan(np.arcsin(radius_mm / depth_mm))
    # Sampling at a quarter pixel: 0.125 px, the Gaussian of one sample another 0.02, flat facets 0.02.
    assert np.abs(np.linalg.norm(line - centre_px, axis=1) - expected_px).max() < 0.2
    assert np.allclose(line[0], line[-1])


def test_silhouette_follows_the_camera_and_stays_quiet_out_of_sight():
    camera = default_film_camera(100, 80, 1.0)
    mesh = ball(10.0, (3, -2, 900), 4)
    (line,) = silhouette_outlines(mesh, camera)
    half_turn = np.array([[-1.0, 0, 99], [0, -1, 79], [0, 0, 1]])
    (turned,) = silhouette_outlines(mesh, camera.viewed_through(half_turn, 100, 80))
    assert np.allclose(99 - line[:, 0].mean(), turned[:, 0].mean(), atol=0.1)
    assert np.allclose(79 - line[:, 1].mean(), turned[:, 1].mean(), atol=0.1)
    assert silhouette_outlines(EMPTY, camera) == []
    assert silhouette_outlines(ball(10.0, (0, 0, -900)), camera) == []
    assert silhouette_outlines(ball(10.0, (500, 0, 900)), camera) == []
    # Half in the picture: the line stops at its border and stays inside.
    (cut,) = silhouette_outlines(ball(10.0, (45, 0, 900)), camera)
    assert cut[:, 0].max() <= 100


def test_mask_and_depth_buffer():
    square = np.array([[[1.0, 1], [6, 1], [6, 6]], [[1, 1], [6, 6], [1, 6]]])
    mask = fill_mask(square, (10, 12))
    assert mask.sum() == 36  # centres 1..6 both ways, edges included
    assert not fill_mask(np.full((1, 3, 2), np.nan), (4, 4)).any()
    # Two triangles over each other, given in either order: the near one is seen.
    points = np.array([[0, 0], [9, 0], [0, 9], [0, 0], [9, 0], [0, 9]], dtype=np.float64)
    depth = np.array([2.0, 2, 2, 1, 1, 1])
    attribute = np.array([[5.0]] * 3 + [[7.0]] * 3)
    for faces in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        nearest, seen = render_attributes(points, depth, np.array(faces, dtype=np.int32), attribute, (10, 10))
        assert nearest[2, 2] == 1
        assert seen[2, 2, 0] == 7
        assert np.isinf(nearest[9, 9])


@pytest.mark.parametrize("side", ["left", "right"])
def test_views_are_rotations_and_show_the_named_side(bones, side):
    for view in VIEWS:
        axes = view_axes(view, side)
        assert np.allclose(axes @ axes.T, np.eye(3))
        assert np.linalg.det(axes) == pytest.approx(1)  # never a mirror image
    ulna = anatomical(bones, side)["ulna"].vertices.mean(axis=0)
    # Fingers up and seen from the palm, the little finger's side of a right wrist is on the left.
    assert (view_axes("palmar", side) @ ulna)[0] * (1 if side == "left" else -1) > 10
    assert (view_axes("dorsal", side) @ ulna)[0] * (1 if side == "right" else -1) > 10
    assert (view_axes("ulnar", side) @ ulna)[2] > 10
    assert (view_axes("radial", side) @ ulna)[2] < -10


def test_view_is_drawn_to_scale(bones):
    picture = np.asarray(render_view({"radius": bones["radius"], "ulna": EMPTY}, "right", "palmar", px_per_mm=5.0))
    drawn = (picture[:-30] < 250).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    # A ball of 20 mm at 5 px per mm; a pixel of rounding at either end.
    assert np.ptp(rows) + 1 == pytest.approx(100, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(100, abs=2)
    with pytest.raises(ValueError, match="empty"):
        render_view({"radius": EMPTY}, "right", "palmar")


def test_error_colours_darken_steadily_and_maps_are_drawn(bones):
    colours = error_colours(np.linspace(0, 3, 50), 3.0)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) < 0).all()
    assert np.allclose(error_colours([5.0], 3.0), error_colours([3.0], 3.0))
    assert np.allclose(error_colours([np.nan], 3.0), 160)
    errors = {name: np.zeros(len(mesh.vertices)) for name, mesh in bones.items()}
    picture = render_error_maps(bones, errors, "right", views=("palmar",), px_per_mm=3.0)
    assert picture.width > render_view(bones, "right", "palmar", 3.0).width


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_words_at_the_edges_of_a_view_say_where_the_bones_lie(bones, side):
    axes = {view: view_axes(view, side) for view in VIEWS}
    ulna_from_radius = np.subtract(
        *(anatomical(bones, side)[name].vertices.mean(axis=0) for name in ("ulna", "radius"))
    )
    for view in VIEWS:
        rightwards = (axes[view] @ ulna_from_radius)[0]
        if view in ("radial", "ulnar"):
            # +y is palmar for both sides.
            assert edge_words(view, side)[1] == ("palmar" if axes[view][0, 1] > 0 else "dorsal")
        else:
            assert edge_words(view, side)[1] == ("ulnar" if rightwards > 0 else "radial")
        assert set(edge_words(view, side)) in ({"ulnar", "radial"}, {"palmar", "dorsal"})


def test_the_words_at_the_edges_of_a_film_follow_the_camera(film):
    """In the fixture the ulna stands to the right of the radius, and the palm faces the detector."""
    world_from_camera = np.linalg.inv(film.camera.camera_from_world)
    axes = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    placed = replace(film, world_from_radius=world_from_camera @ translation([-8, -12, 950]) @ axes)
    assert named_edges(placed, "right") == {"right": "ulnar", "left": "radial"}
    assert named_edges(placed, "left") == {"right": "radial", "left": "ulnar"}
    quarter = np.array([[0.0, 1, 0], [-1, 0, 119], [0, 0, 1]])  # (u, v) -> (v, 119 - u): what was right is up
    turned = replace(placed, camera=film.camera.viewed_through(quarter, 150, 120))
    assert named_edges(turned, "right") == {"top": "ulnar", "bottom": "radial"}
    # Turned about the shaft by a quarter, the palm points along the film, as in a lateral.
    about_shaft = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    lateral = replace(placed, world_from_radius=placed.world_from_radius @ about_shaft)
    assert set(named_edges(lateral, "right").values()) == {"palmar", "dorsal"}
    assert named_edges(film, "right") == {}


def test_outlines_of_the_page_lie_where_the_picture_has_them(film):
    """The lines of the page, read back from its text, against those of the figure."""
    figure = film_figure(film, film_outlines(film), close_up=True)
    text = str(outlines_svg(figure, '<script>"'))
    assert "<script>" not in text
    assert f'viewBox="0 0 {figure.picture.width} {figure.picture.height}"' in text
    paths = re.findall(r'class="line" d="M([^"]*)" stroke="(#\w+)"', text)
    assert [colour for _, colour in paths] == [hex_colour(OUTLINE_COLOURS[name]) for name in figure.outlines]
    for (path, _), lines in zip(paths, figure.outlines.values(), strict=True):
        points = np.array([point.split() for point in path.split("L")], dtype=np.float64)
        # A line may leave out points that move it by 0.15 px, and is written in tenths.
        nearest = np.linalg.norm(points[:, None] - lines[0][None], axis=-1).min(axis=1)
        assert nearest.max() < 0.15 + 0.1


def test_a_measurement_shows_value_error_and_range_and_one_without_skill_is_grey(content):
    page = render_report(
        replace(
            content,
            measurements_note="errors of 100 virtual patients",
            measurements=(
                Measurement("palmar tilt (3D)", -10.83, "deg", None, "3D", "what it is", 2.04, 0.5, True, (3.8, 17.8)),
                Measurement(
                    "width (PA film)", 34.9, "mm", None, "film", note="no better than the mean", has_skill=False
                ),
            ),
        )
    )
    table = page[page.index('id="measurements"') : page.index('id="facts"')]
    assert "errors of 100 virtual patients" in table
    tilt, width = re.findall(r"<tr[^>]*><th scope=\"row\">.*?</tr>", table)
    assert re.findall(r"<td[^>]*>([^<]*)</td>", tilt) == ["−10.8°", "± 2.0°", "0.5°", "3.8 to 17.8"]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", width) == ["34.9 mm", "not known", "–", "–"]
    assert "no-skill" in width
    assert "no better than the mean" in width
    assert "no-skill" not in tilt
    assert table.index("On the 3D bones") < table.index(tilt) < table.index("Off the film") < table.index(width)
    assert "what it is" in table


def test_a_case_label_is_shown_and_one_line(content):
    page = render_report(replace(content, label="Case 12"))
    assert "<h1>Case 12: Right wrist, PA view</h1>" in page
    assert case_label("  S-017 ") == "S-017"
    for bad in ("", "   ", "x" * 61, "two\nlines", "bell\x07"):
        with pytest.raises(InputError, match="case label: got"):
            case_label(bad)


def test_the_page_sends_the_reader_to_grave_flags_and_explains_itself(content):
    page = render_report(content)
    assert "before you have read the severe flags" in page
    assert "For adults, without fracture, without cast." in page
    assert "GAN-DRR" not in page[: page.index('id="details"')]
    assert "Do not use" not in render_report(replace(content, flags=(Flag("info", "a remark"),)))
    for name in content.bones:  # every colour that is drawn has its words
        legend = page[page.index('id="colours"') : page.index('id="details"')]
        assert hex_colour(OUTLINE_COLOURS[name]) in legend
        assert f"surface of the {name} in 3D" in legend


def test_overlay_draws_the_outline_where_it_projects_and_nothing_without_it(film):
    plain, drawn = np.asarray(overlay_image(film, {})).astype(int), np.asarray(overlay_image(film)).astype(int)
    assert plain.shape == drawn.shape
    picture = plain[: 1200 - 1, :, :]
    assert (picture.max(axis=2) == picture.min(axis=2))[:, 5:700].all()  # grey only
    outlines = film_outlines(film)
    for name, lines in outlines.items():
        # 120 x 150 px on 1200 px height, the sheet 960 px wide: 8 px for one.
        spots = np.round((lines[0][::40] + 0.5) * 8).astype(int)
        found = drawn[spots[:, 1], spots[:, 0]]
        assert np.abs(found - OUTLINE_COLOURS[name]).max(axis=1).mean() < 60
    changed = np.abs(drawn - plain).max(axis=2) > 40
    assert 0.001 < changed[:1199].mean() < 0.05
    close = overlay_image(film, outlines, close_up=True)
    assert close.width > 300


def test_pictures_are_plain_png_files(film):
    assert png_bytes(gan_drr_image(film.gan_drr)).startswith(b"\x89PNG")
    assert png_bytes(gan_drr_image(np.zeros((4, 4)))).startswith(b"\x89PNG")
    assert b"tEXt" not in png_bytes(overlay_image(film))


def test_page_is_self_contained_and_in_order(content, tmp_path):
    write_report(tmp_path / "report.html", content)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count(RESEARCH_NOTICE) >= 2
    assert "http://" not in page
    assert "https://" not in page
    assert all(link.startswith("data:image/") for link in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "default-src 'none'" in page
    places = [
        page.index(f'id="{part}"')
        for part in ("overlay", "quality", "bones", "measurements", "facts", "colours", "details")
    ]
    assert places == sorted(places)
    assert page.index("the graver remark") < page.index("the lesser remark")
    assert "−10.8" in page
    assert "ImagerPixelSpacing (0018,1164)" in page
    assert "0123abcd" * 8 in page
    assert 'id="truth"' not in page
    assert page == render_report(content)  # the same content gives the same page


def test_the_viewer_holds_the_bones_as_the_patient_has_them(content, bones):
    for side, mirror in (("right", 1.0), ("left", -1.0)):
        page = render_report(replace(content, side=side, films=()))
        scene = json.loads(re.search(r'id="scene">(.*?)</script>', page, re.DOTALL).group(1))
        entry = next(mesh for mesh in scene["meshes"] if mesh["name"] == "ulna")
        positions = np.frombuffer(base64.b64decode(entry["positions"]), dtype="<f4").reshape(-1, 3)
        faces = np.frombuffer(base64.b64decode(entry["faces"]), dtype="<u4").reshape(-1, 3)
        assert np.allclose(positions, bones["ulna"].vertices * [mirror, 1, 1], atol=1e-4)
        assert TriangleMesh(positions, faces).volume_mm3 > 0


def test_text_from_outside_is_escaped(content):
    evil = '<script>alert("x")</script>'
    page = render_report(
        replace(
            content,
            title=evil,
            films=(),
            bones={evil: content.bones["radius"]},
            facts=(Fact(evil, evil, evil),),
            measurements=(Measurement(evil, 1.0, evil),),
            flags=(Flag("warning", evil),),
            model_id=evil,
            model_sha256=evil,
            timings_s={evil: 1.0},
            created=evil,
            label=evil,
            settings={evil: evil},
            expected={evil: ExpectedDistance(1.0, 1.0)},
        )
    )
    assert evil not in page
    assert "alert(" in page  # shown, as text


def test_truth_is_shown_in_two_tables_that_are_kept_apart(content, bones):
    moved = {name: mesh.transformed(rigid_from_vector([0, 0, 0, 1, 0, 0])) for name, mesh in bones.items()}
    predicted = {name: surface_distances(mesh, moved[name]) for name, mesh in bones.items()}
    aligned = {name: surface_distances(mesh, mesh) for name, mesh in bones.items()}
    truth = TruthComparison(moved, predicted, aligned, mean_bone=predicted)
    measurements = (Measurement("Palmar tilt", 10.0, "deg", truth=11.5),)
    page = render_report(replace(content, films=(), truth=truth, measurements=measurements))
    first, second = page.index("As predicted (same frame"), page.index("After rigid alignment of each bone")
    assert first < page.index(f"{predicted['radius'].hd95_mm:.2f}", first) < second
    assert "no skill: mean bone" in page[first:second]
    assert "no skill: mean bone" not in page[second:]
    assert "11.5" in page
    assert "Where it is off" in page


def test_page_without_bones_or_pose_says_so(content, film):
    unplaced = replace(film, bones_world={}, gan_drr=None)
    page = render_report(replace(content, films=(unplaced,), bones={}, flags=(), quality_score=None))
    assert "No surface was reconstructed" in page
    assert "No flags were raised" in page
    assert 'id="scene"' not in page


def test_scale_bar_is_ten_millimetres_at_the_wrist_also_on_a_turned_film(film):
    quarter = np.array([[0.0, 1, 0], [-1, 0, 119], [0, 0, 1]])
    turned = film.camera.viewed_through(quarter, 150, 120)
    for picture in (
        overlay_image(film, {}),
        overlay_image(replace(film, camera=turned, pixels=np.rot90(film.pixels)), {}),
    ):
        strip = np.asarray(picture)[-62:].min(axis=2) > 200
        # 0.5 mm pixels at 950 of 1000 mm, each drawn with 8 px: 10 mm are 168.4 px, plus the width of the end marks.
        assert strip.sum(axis=1).max() == pytest.approx(10 * 8 / (0.5 * 0.95), abs=4)
