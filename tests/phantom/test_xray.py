"""The virtual radiograph against Beer-Lambert, photon statistics and known blurs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import apply_transform, default_film_camera, is_rigid
from bonelift.phantom import spectrum
from bonelift.phantom.detector import Detector, geometric_blur_mm, read_out, scatter
from bonelift.phantom.fine_texture import FineTexture, with_fine_texture
from bonelift.phantom.smoothing import blurred, widely_blurred
from bonelift.phantom.xray import (
    FILM_SPREAD,
    LOCATOR_SPREAD,
    PoseSpread,
    detector_signal,
    draw_geometry,
    draw_settings,
    expose,
    mass_per_area,
)

CLEAN = Detector(
    scatter_to_primary=0.0,
    scatter_width_mm=20.0,
    focal_spot_mm=0.0,
    blur_mm=0.0,
    quanta_per_mm2=1e9,
    electronic_noise=0.0,
)
BEAM = spectrum.Beam(kilovoltage=52.0, aluminium_mm=2.5, copper_mm=0.0, scintillator_mg_cm2=150.0, adipose_fraction=0.3)


@dataclass(frozen=True)
class SlabBody:
    mineral_g_cm3: NDArray[np.float32]
    soft_g_cm3: NDArray[np.float32]
    radius_from_voxel: NDArray[np.float64]


def slab_body() -> SlabBody:
    """A 60 x 40 x 100 mm block of soft tissue, its +X half also filled with 0.2 g/cm3 of mineral; 2 mm voxels."""
    shape = (30, 20, 50)
    radius_from_voxel = np.diag([2.0, 2.0, 2.0, 1.0])
    radius_from_voxel[:3, 3] = [-29.0, -19.0, -69.0]
    mineral = np.zeros(shape, np.float32)
    mineral[15:] = 0.2
    return SlabBody(mineral, np.ones(shape, np.float32), radius_from_voxel)


def quiet(**field_changes: object):
    """Settings with nothing in the beam but the patient, and no noise, scatter or blur."""
    settings = draw_settings(np.random.default_rng(0), "film")
    field = replace(
        settings.field, heel=0.0, vignetting=0.0, aperture="open", marker=None, beads=0, pads=0, slab_g_cm2=0.0
    )
    return replace(settings, beam=BEAM, field=replace(field, **field_changes), detector=CLEAN)


def test_one_energy_obeys_beer_lambert() -> None:
    response = spectrum.response_of(np.array([1.0]), np.array([0.9]), np.array([0.25]), np.array([40.0]))
    rng = np.random.default_rng(1)
    mineral, soft = rng.uniform(0, 5, 200), rng.uniform(0, 20, 200)
    # Log-attenuation of one energy is bilinear, so the table interpolates it exactly; 12 g/cm2 units in float64.
    np.testing.assert_allclose(response.of(mineral, soft), 0.9 * mineral + 0.25 * soft, atol=1e-9)
    assert response.quanta_per_signal == pytest.approx(1.0)


def test_table_agrees_with_the_integral_over_the_spectrum() -> None:
    tables, weights = spectrum.load_tables(), spectrum.detected_energy(BEAM)
    rng = np.random.default_rng(2)
    mineral, soft = rng.uniform(0, 4, 300), rng.uniform(0, 12, 300)
    exponent = np.outer(mineral, tables.mass_attenuation["mineral"]) + np.outer(
        soft, spectrum.soft_mass_attenuation(BEAM)
    )
    exact = -np.log(np.exp(-exponent) @ weights)
    # Linear interpolation errs by h^2 f'' / 8; f'' is the variance of the attenuation over the spectrum, at most
    # about 3 cm4/g2 for mineral (h = 0.1) in the open beam: 0.004.
    np.testing.assert_allclose(spectrum.response(BEAM).of(mineral, soft), exact, atol=0.004)


@pytest.mark.parametrize(
    ("material", "energy_kev", "published_cm2_g"),
    [("soft_tissue", 50.0, 0.2264), ("cortical_bone", 50.0, 0.4242), ("aluminium", 30.0, 1.128), ("lead", 50.0, 8.041)],
)
def test_mass_attenuation_agrees_with_nist(material: str, energy_kev: float, published_cm2_g: float) -> None:
    # NIST XAAMDI (Hubbell and Seltzer 1995); 1 keV bins and another cross-section library: within 1 %.
    tables = spectrum.load_tables()
    logged = np.interp(energy_kev, tables.energies_kev, np.log(tables.mass_attenuation[material]))
    assert np.exp(logged) == pytest.approx(published_cm2_g, rel=0.01)


def test_the_beam_hardens() -> None:
    response = spectrum.response(BEAM)
    thickness = np.linspace(0, 6, 61)
    for attenuation in (response.of(thickness, 0 * thickness), response.of(0 * thickness, thickness)):
        added = np.diff(attenuation)
        assert (added > 0).all()
        assert (np.diff(added) < 1e-9).all()  # every further layer attenuates less
        assert added[-1] < 0.97 * added[0]


def test_a_higher_voltage_and_more_filtration_penetrate_more() -> None:
    attenuation = [
        float(spectrum.response(beam).of(np.array([1.0]), np.array([4.0]))[0])
        for beam in (
            BEAM,
            replace(BEAM, kilovoltage=60.0),
            replace(BEAM, kilovoltage=60.0, copper_mm=0.2),
        )
    ]
    assert attenuation[0] > attenuation[1] > attenuation[2]


def test_no_spectrum_reaches_beyond_its_voltage() -> None:
    tables = spectrum.load_tables()
    np.testing.assert_allclose(tables.spectra.sum(axis=1), 1.0, atol=1e-6)
    beyond = tables.energies_kev[None] > tables.kilovoltages[:, None] + 0.5
    assert tables.spectra[beyond].max() < 1e-6


def test_step_wedge_brightens_with_thickness() -> None:
    steps = np.repeat(np.linspace(0, 3, 16), 16)[None].repeat(64, axis=0).astype(np.float32)
    signal, _ = detector_signal(steps, np.full_like(steps, 4.0), 0.25, 1.0, np.random.default_rng(0), quiet())
    wedge = -np.log(signal).mean(axis=0)[8::16]
    assert (np.diff(wedge) > 0).all()


def test_primary_signal_is_the_transmission() -> None:
    mineral = np.full((40, 40), 0.8, np.float32)
    soft = np.full((40, 40), 4.0, np.float32)
    signal, blanked = detector_signal(mineral, soft, 1.0, 1.0, np.random.default_rng(0), quiet())
    expected = np.exp(-spectrum.response(BEAM).of(mineral, soft))
    # 1e9 quanta a pixel, of which > 5 % arrive: relative noise below 2e-4 (5 standard deviations: 1e-3).
    np.testing.assert_allclose(signal, expected, rtol=1e-3)
    assert not blanked.any()


def test_noise_variance_is_the_inverse_of_the_dose() -> None:
    incident = np.full((200, 200), 0.3, np.float32)
    for quanta in (1e4, 1e6):
        detector = replace(CLEAN, quanta_per_mm2=quanta)
        noisy = read_out(incident, detector, 0.5, 0.9, np.random.default_rng(3))
        expected = 0.3 / (quanta * 0.25 * 0.9)
        # The variance of 40,000 samples is known to sqrt(2 / 40000) = 0.7 %: five standard deviations.
        assert noisy.var() == pytest.approx(expected, rel=0.036)
        assert noisy.mean() == pytest.approx(0.3, abs=5 * np.sqrt(expected / incident.size))


def test_detector_blur_correlates_the_noise_and_electronic_noise_is_white() -> None:
    incident = np.full((200, 200), 0.5, np.float32)

    def neighbour_correlation(detector: Detector) -> float:
        noise = read_out(incident, detector, 0.15, 1.0, np.random.default_rng(4)) - 0.5
        return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())

    # Gaussian of sigma s: neighbours correlate by exp(-1 / (4 s^2)), s = 1 px; sampling error about 1 / 200.
    blurry = replace(CLEAN, quanta_per_mm2=1e5, blur_mm=0.15)
    assert neighbour_correlation(blurry) == pytest.approx(np.exp(-0.25), abs=0.03)
    assert abs(neighbour_correlation(replace(CLEAN, quanta_per_mm2=1e9, electronic_noise=10.0))) < 0.03


def test_blurs_have_the_stated_width() -> None:
    impulse = np.zeros((201, 201), np.float32)
    impulse[100, 100] = 1
    offset = np.arange(201) - 100.0
    for blur, sigma in ((blurred, 3.0), (widely_blurred, 20.0)):
        image = blur(impulse, sigma)
        variance = (image.sum(axis=0) * offset**2).sum() / image.sum()
        # Truncation at 3.5 sigma takes 1.2 % of the variance; blocks and interpolation leave a few per cent.
        assert np.sqrt(variance) == pytest.approx(sigma, rel=0.05)
        assert image.sum() == pytest.approx(1.0, abs=0.02)
    # A square of side f seen through a pinhole at magnification M: a box of width f (M - 1).
    assert geometric_blur_mm(1.2, 1.05) == pytest.approx(1.2 * 0.05 / np.sqrt(12))
    assert geometric_blur_mm(1.2, 1.0) == 0.0


def test_scatter_follows_thickness_and_is_smooth() -> None:
    detector = replace(CLEAN, scatter_to_primary=0.4, scatter_width_mm=20.0)
    primary = np.full((100, 100), 0.4, np.float32)
    # 5 g/cm2 everywhere: scatter is the stated share of the primary. Bare detector: none.
    np.testing.assert_allclose(scatter(primary, np.full((100, 100), 5.0), detector, 0.5), 0.16, rtol=1e-4)
    assert scatter(primary, np.zeros((100, 100)), detector, 0.5).max() == 0
    half = np.where(np.arange(100) < 50, 5.0, 0.0)[None].repeat(100, axis=0)
    edge = scatter(primary, half, detector, 0.5)
    # The steepest slope of an edge blurred by s is 1 / (s sqrt(2 pi)): 0.16 * 0.5 / (20 * 2.507) a pixel; + 20 %.
    assert np.abs(np.diff(edge, axis=1)).max() < 1.2 * 0.16 * 0.5 / (20 * 2.507)


def test_mass_per_area_of_a_block() -> None:
    camera = default_film_camera(61, 61, 0.5, 1000.0)
    pose = draw_geometry(np.random.default_rng(0), "pa", (61, 61), 0.5, PoseSpread(0, 0, 0, 0, 0)).camera_from_radius
    pose[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    pose[:3, 3] = [-10, -20, 960]
    mineral, soft = mass_per_area(slab_body(), camera, pose)
    # Rays run along +Y through 40 mm of block: 4 g/cm2 of soft tissue and, on the +X side, 0.8 of mineral; obliquity
    # at 20 mm off axis lengthens a path by 2e-4.
    assert soft[30, 30] == pytest.approx(4.0, rel=1e-3)
    assert mineral[30, 55] == pytest.approx(0.8, rel=1e-3)
    assert mineral[30, 2] == pytest.approx(0.0, abs=1e-6)


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    geometry = draw_geometry(np.random.default_rng(5), "pa", (80, 64), 1.0)
    first, again, other = (
        expose(slab_body(), geometry.camera, geometry.camera_from_radius, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    assert first.dtype == np.float32
    assert first.shape == (80, 64)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_bone_is_bright_unless_monochrome1() -> None:
    geometry = draw_geometry(np.random.default_rng(5), "pa", (80, 64), 1.0, PoseSpread(0, 0, 0, 0, 0))
    for modality in ("film", "fluoroscopy"):
        settings = draw_settings(np.random.default_rng(1), modality)
        settings = replace(settings, field=quiet().field)
        arguments = (slab_body(), geometry.camera, geometry.camera_from_radius)
        shown = expose(*arguments, np.random.default_rng(2), settings)
        processing = replace(settings.processing, photometric="MONOCHROME1")
        stored = expose(*arguments, np.random.default_rng(2), replace(settings, processing=processing))
        np.testing.assert_array_equal(shown + stored, 2**settings.processing.bits - 1)
        column, row = np.rint(geometry.origin_px).astype(int)
        assert shown[row, column + 8] > shown[row, column - 8]


@pytest.mark.parametrize("view", ["pa", "lateral"])
@pytest.mark.parametrize("spread", [FILM_SPREAD, LOCATOR_SPREAD])
def test_geometry_holds_its_promises(view, spread: PoseSpread) -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        geometry = draw_geometry(rng, view, (200, 160), 0.5, spread)
        assert is_rigid(geometry.camera_from_radius)
        low, high = spread.sdd_mm
        assert low <= geometry.camera.sdd_mm <= high
        assert 10 <= geometry.camera.sdd_mm - geometry.source_to_object_mm <= 60
        assert geometry.camera.detector_spacing_mm * geometry.source_to_object_mm / geometry.camera.sdd_mm == (
            pytest.approx(0.5)
        )
        projected = geometry.camera.project(apply_transform(geometry.camera_from_radius, [[0, 0, 0], [0, 0, -40.0]]))
        np.testing.assert_allclose(projected, [geometry.origin_px, geometry.proximal_px], atol=1e-9)
        nominal = np.add([48.0, 60.0] if view == "pa" else [64.0, 60.0], [16.0, 20.0])
        assert np.abs(geometry.origin_px - nominal).max() <= spread.shift_mm / 0.5 + 1e-6
        down = geometry.proximal_px - geometry.origin_px
        assert abs(np.arctan2(down[0], down[1])) < np.deg2rad(3 * spread.in_plane_deg + 8)


def beads_at(*places_mm: tuple[float, float, float]) -> SimpleNamespace:
    """Small dense cubes on a grid of 1 mm from -60 to 60 mm, voxels at whole mm."""
    mineral = np.zeros((121, 121, 121), np.float32)
    for place in places_mm:
        mineral[tuple(np.asarray(place, int) + 60)] = 50.0
    matrix = np.diag([1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = -60
    return SimpleNamespace(mineral_g_cm3=mineral, soft_g_cm3=np.zeros_like(mineral), radius_from_voxel=matrix)


@pytest.mark.parametrize("from_palm", [False, True])
@pytest.mark.parametrize("turn_deg", [0.0, 45.0, -45.0, 120.0])
def test_landmarks_are_where_the_picture_shows_them(turn_deg: float, from_palm: bool) -> None:
    head = (19.0, 2.0, -3.0)
    places = [(0.0, 0.0, 0.0), (0.0, 0.0, -40.0), head]
    rng = np.random.default_rng(5)
    geometry = draw_geometry(rng, "pa", (300, 300), 0.5, FILM_SPREAD, head, turn_deg, from_palm)
    landmarks = [geometry.origin_px, geometry.proximal_px, geometry.ulnar_head_px]
    for place, landmark in zip(places, landmarks, strict=True):
        shadow, _ = mass_per_area(beads_at(place), geometry.camera, geometry.camera_from_radius)
        rows, columns = np.indices(shadow.shape)
        seen = [(shadow * columns).sum() / shadow.sum(), (shadow * rows).sum() / shadow.sum()]
        # A cube's shadow is centred on the cube's centre but for the fan of the beam over 1 mm: 0.1 px.
        np.testing.assert_allclose(seen, landmark, atol=0.3)
    down, out = landmarks[1] - landmarks[0], landmarks[2] - landmarks[0]
    turned = np.rad2deg(np.arctan2(-down[0], down[1]))
    assert abs((turned - turn_deg + 180) % 360 - 180) < 3 * FILM_SPREAD.in_plane_deg + 8
    # Turned upright, the ulna lies to the right of the radius, whether the palm is up or down.
    assert down[1] * out[0] - down[0] * out[1] > 0


def test_only_a_pa_film_can_be_taken_from_the_palm() -> None:
    with pytest.raises(InputError, match="PA view"):
        draw_geometry(np.random.default_rng(0), "lateral", from_palm=True)


def test_a_body_is_continued_by_its_overview_where_rays_leave_it() -> None:
    """Two blocks of one density: the fine one ends at -30 and 30 mm, the overview goes on to -120 and 120."""

    def block(spacing_mm: float, half_length_mm: float, density: float, overview=None) -> SimpleNamespace:
        count = round(2 * half_length_mm / spacing_mm) + 1
        shape = (round(40 / spacing_mm) + 1, round(20 / spacing_mm) + 1, count)
        matrix = np.diag([spacing_mm] * 3 + [1.0])
        matrix[:3, 3] = [-20, -10, -half_length_mm]
        filled = np.full(shape, density, np.float32)
        return SimpleNamespace(
            mineral_g_cm3=filled, soft_g_cm3=np.zeros_like(filled), radius_from_voxel=matrix, overview=overview
        )

    body = block(1.0, 60.0, 1.0, overview=block(2.0, 120.0, 2.0))
    geometry = draw_geometry(np.random.default_rng(0), "pa", (400, 100), 0.5, PoseSpread(0, 0, 0, 0, 0))
    mineral, _ = mass_per_area(body, geometry.camera, geometry.camera_from_radius)
    column, row = np.rint(geometry.origin_px).astype(int)
    # 20 mm of 1 and of 2 g/cm3 are 2 and 4 g/cm2; in between the one fades into the other.
    middle, far = mineral[row, column], mineral[row + 160, column]  # 0 and 80 mm up the forearm
    assert middle == pytest.approx(2.0, rel=0.06)  # linear interpolation adds half a voxel at both faces
    assert far == pytest.approx(4.0, rel=0.12)
    assert (np.diff(mineral[row : row + 160, column]) > -1e-3).all()
    coarse = draw_geometry(np.random.default_rng(0), "pa", (200, 50), 1.0, PoseSpread(0, 0, 0, 0, 0))
    mineral, _ = mass_per_area(body, coarse.camera, coarse.camera_from_radius)
    assert mineral[tuple(np.rint(coarse.origin_px).astype(int)[::-1])] == pytest.approx(4.0, rel=0.12)


def test_an_unspread_geometry_is_the_nominal_film() -> None:
    geometry = draw_geometry(np.random.default_rng(0), "pa", (160, 128), 0.5, PoseSpread(0, 0, 0, 0, 0))
    np.testing.assert_allclose(geometry.origin_px, [48, 60], atol=1e-9)
    assert geometry.proximal_px[1] - 60 == pytest.approx(80, rel=0.01)  # 40 mm of 0.5 mm pixels
    assert geometry.origin_fraction == pytest.approx((48.5 / 64 - 1, 60.5 / 80 - 1))


@pytest.mark.parametrize(
    "make_wrong",
    [
        lambda: replace(BEAM, kilovoltage=120.0),
        lambda: replace(BEAM, adipose_fraction=-0.1),
        lambda: replace(BEAM, aluminium_mm=float("nan")),
        lambda: replace(CLEAN, quanta_per_mm2=0.0),
        lambda: replace(CLEAN, blur_mm=-1.0),
        lambda: replace(quiet(), modality="ultrasound"),
        lambda: PoseSpread(shift_mm=-1.0),
        lambda: PoseSpread(object_to_detector_mm=(10.0, 2000.0)),
        lambda: mass_per_area(slab_body(), default_film_camera(10, 10, 1.0), np.diag([1.0, 1, 1, 1]) * -1),
    ],
)
def test_wrong_settings_are_refused(make_wrong) -> None:
    with pytest.raises(InputError):
        make_wrong()


def test_every_drawn_setting_is_valid_and_cheap_to_draw() -> None:
    rng = np.random.default_rng(12)
    modalities = [draw_settings(rng, photometric=None).modality for _ in range(300)]
    # FLUOROSCOPY_SHARE is 0.25: 75 of 300 with a standard deviation of 7.5.
    assert 37 < modalities.count("fluoroscopy") < 113


def test_fine_texture_ripples_mineral_and_only_mineral() -> None:
    mineral = np.zeros((200, 200), np.float32)
    mineral[:, 100:] = 0.5
    texture = FineTexture(amplitude=0.05, length_mm=0.5, elongation=2.0)
    rippled = with_fine_texture(mineral, texture, 0.25, np.random.default_rng(0))
    assert (rippled[:, :100] == 0).all()
    # 20,000 pixels hold about 400 independent ripples (4 pi s1 s2 = 100 px, half the image): SD of the SD about 4 %.
    assert rippled[:, 100:].std() == pytest.approx(0.025, rel=0.2)
    # Pixels eight times as wide as the ripple average it out.
    coarse = with_fine_texture(mineral, texture, 4.0, np.random.default_rng(0))
    assert coarse[:, 100:].std() < 0.4 * 0.025
    untouched = replace(texture, amplitude=0.0)
    assert with_fine_texture(mineral, untouched, 0.25, np.random.default_rng(0)) is mineral
    with pytest.raises(InputError, match="fine texture"):
        FineTexture(amplitude=2.0, length_mm=0.5, elongation=1.0)
