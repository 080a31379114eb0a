"""Field of the X-ray and the vendor's processing: masks, metal, look-up tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.phantom.field import Field, Marker, inside_aperture_mm, lead_and_plastic, open_field, shuttered
from bonelift.phantom.spectrum import Beam, thin_metal_log_attenuation
from bonelift.phantom.vendor import Processing, displayed, enhanced, look_up, scaled_signal, through_jpeg

BARE = Field(
    heel=0.0,
    heel_angle_rad=0.0,
    vignetting=0.0,
    aperture="open",
    aperture_centre=(0.0, 0.0),
    aperture_half_size=(0.5, 0.5),
    aperture_angle_rad=0.0,
    penumbra_mm=0.5,
    leaf_transmission=0.01,
    shutter_mm=None,
    marker=None,
    beads=0,
    pads=0,
    slab_g_cm2=0.0,
)
PLAIN = Processing(
    scale="log",
    signal_range=(1e-3, 1.0),
    band_gains=(0.0, 0.0, 0.0),
    flatten=0.0,
    equalise=0.0,
    window_percentiles=(0.0, 100.0),
    window_margin=(0.0, 0.0),
    gamma=1.0,
    sigmoid=0.0,
    bits=12,
    photometric="MONOCHROME2",
    blank=0.0,
)
NOTHING_BLANKED = np.zeros((64, 64), bool)


def signal_ramp() -> np.ndarray:
    """(64, 64) signal from 1 on the left to exp(-3) on the right, log-attenuation linear in the column."""
    return np.exp(-np.linspace(0, 3, 64))[None].repeat(64, axis=0).astype(np.float32)


def test_an_open_field_is_flat_and_heel_effect_is_a_slope() -> None:
    np.testing.assert_array_equal(open_field(BARE, (20, 30), 1.0), 1.0)
    sloped = open_field(replace(BARE, heel=0.1), (21, 101), 1.0)
    # 0.1 per 100 mm along x: 1.05 at -50 mm, 0.95 at +50 mm.
    np.testing.assert_allclose(sloped[10, [0, 50, 100]], [1.05, 1.0, 0.95], atol=1e-6)


def test_rectangle_covers_the_stated_area_and_its_edge_lets_little_through() -> None:
    collimated = replace(BARE, aperture="rectangle", aperture_half_size=(0.5, 0.25))
    exposure = open_field(collimated, (200, 200), 0.5)
    # Half the width and a quarter of the height: 1/8 of the area; the soft edge is symmetric about the half value.
    assert (exposure > 0.5).mean() == pytest.approx(0.125, abs=0.01)
    assert exposure[100, 100] == pytest.approx(1.0, abs=1e-3)
    assert exposure[2, 2] == pytest.approx(0.01, abs=1e-4)


def test_turning_the_rectangle_keeps_its_area() -> None:
    upright, turned = (
        replace(BARE, aperture="rectangle", aperture_half_size=(0.5, 0.3), aperture_angle_rad=angle)
        for angle in (0.0, np.deg2rad(20))
    )
    areas = [(inside_aperture_mm(field, (300, 300), 0.5) > 0).mean() for field in (upright, turned)]
    assert areas[0] == pytest.approx(areas[1], abs=0.005)


def test_circle_and_shutter() -> None:
    intensifier = replace(BARE, aperture="circle", aperture_half_size=(0.8, 1.0), shutter_mm=0.0)
    blanked = shuttered(intensifier, (200, 300), 1.0)
    # A circle of radius 0.8 x 100 mm on 200 x 300 mm; the area of its pixelised disc is good to 1 / radius.
    assert (~blanked).sum() == pytest.approx(np.pi * 80**2, rel=0.01)
    assert not shuttered(replace(intensifier, shutter_mm=None), (200, 300), 1.0).any()


def test_blanked_pixels_hold_the_blank_value() -> None:
    blanked = NOTHING_BLANKED.copy()
    blanked[:10] = True
    assert (displayed(signal_ramp(), blanked, PLAIN, 0.5)[:10] == 0).all()
    assert (displayed(signal_ramp(), blanked, replace(PLAIN, blank=1.0), 0.5)[:10] == 4095).all()


def test_marker_is_opaque_where_its_letter_is() -> None:
    marker = Marker("L", (0.0, 0.0), 14.0, 0.0, 1.5, 0.3, mirrored=False)
    lead, steel, plastic = lead_and_plastic(replace(BARE, marker=marker), (200, 200), 0.25, np.random.default_rng(0))
    assert lead.max() == pytest.approx(1.5, rel=1e-3)
    assert steel.max() == 0
    assert plastic.max() == pytest.approx(0.3)
    # An L has its stroke at the lower left: the first column of 5, the last row of 7, cells of 2 mm.
    middle, cell = 99.5, 8
    assert lead[int(middle), int(middle - 2 * cell)] > 1
    assert lead[int(middle + 3 * cell), int(middle)] > 1
    assert lead[int(middle - 2 * cell), int(middle + 2 * cell)] == 0
    mirrored, _, _ = lead_and_plastic(
        replace(BARE, marker=replace(marker, mirrored=True)), (200, 200), 0.25, np.random.default_rng(0)
    )
    np.testing.assert_allclose(mirrored, lead[:, ::-1], atol=1e-4)


def test_lead_stops_nearly_everything() -> None:
    beam = Beam(50.0, 2.5, 0.0, 150.0, 0.3)
    attenuation = thin_metal_log_attenuation(beam, "lead", np.array([0.0, 0.1, 1.5]))
    assert attenuation[0] == pytest.approx(0.0, abs=1e-9)
    # At most 50 keV: at least 8 cm2/g, so 1.5 g/cm2 lets through less than exp(-12).
    assert attenuation[2] > 12
    assert 0.8 < attenuation[1] < 3.0


def test_beads_and_pads_are_in_the_beam() -> None:
    crowded = replace(BARE, beads=20, pads=5, slab_g_cm2=1.0)
    lead, steel, plastic = lead_and_plastic(crowded, (160, 160), 0.5, np.random.default_rng(1))
    assert lead.max() == 0
    # The longest chord of a 2 mm steel bead is 2 mm: 1.57 g/cm2 (two may overlap).
    assert 0.5 < steel.max() < 2 * 1.58
    assert plastic.max() > 0.9


def test_plain_log_processing_is_linear_in_attenuation() -> None:
    pixels = displayed(signal_ramp(), NOTHING_BLANKED, PLAIN, 0.5)
    np.testing.assert_allclose(pixels[0], np.linspace(0, 4095, 64), atol=0.6)  # half a grey value of rounding
    assert pixels.dtype == np.float32


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(("gamma", "sigmoid"), [(0.5, 0.0), (1.0, 4.0), (1.8, 8.0)])
def test_look_up_tables_rise_and_keep_their_ends(scale, gamma: float, sigmoid: float) -> None:
    settings = replace(PLAIN, scale=scale, gamma=gamma, sigmoid=sigmoid)
    fraction = look_up(scaled_signal(signal_ramp(), settings), ~NOTHING_BLANKED, settings)[0]
    assert (np.diff(fraction) > 0).all()
    assert fraction[0] == pytest.approx(0.0, abs=1e-6)
    assert fraction[-1] == pytest.approx(1.0, abs=1e-6)


def test_inverted_and_upright_add_up_to_white() -> None:
    upright = displayed(signal_ramp(), NOTHING_BLANKED, PLAIN, 0.5)
    inverted = displayed(signal_ramp(), NOTHING_BLANKED, replace(PLAIN, photometric="MONOCHROME1"), 0.5)
    np.testing.assert_array_equal(upright + inverted, 4095)


def test_quantisation_has_the_stated_depth() -> None:
    pixels = displayed(signal_ramp(), NOTHING_BLANKED, replace(PLAIN, bits=8), 0.5)
    assert pixels.min() == 0
    assert pixels.max() == 255
    np.testing.assert_array_equal(pixels, np.rint(pixels))


def test_a_bright_background_saturates() -> None:
    settings = replace(PLAIN, signal_range=(1e-3, 0.5))
    pixels = displayed(signal_ramp(), NOTHING_BLANKED, settings, 0.5)[0]
    # Signals above 0.5, the first ln 2 of 3 in log-attenuation, all show black.
    assert (pixels == 0).mean() == pytest.approx(np.log(2) / 3, abs=1 / 64)


def test_no_enhancement_changes_nothing_and_enhancement_steepens_edges() -> None:
    edge = np.where(np.arange(96) < 48, 0.0, 1.0)[None].repeat(96, axis=0).astype(np.float32)
    np.testing.assert_array_equal(enhanced(edge, PLAIN, 0.25), edge)
    sharper = enhanced(edge, replace(PLAIN, band_gains=(1.0, 1.0, 1.0)), 0.25)
    # All bands together are the edge less its blur: a gain of 1 doubles the step's overshoot to about 1/2 a side.
    assert sharper.max() > 1.3
    assert sharper.min() < -0.3
    flat = np.full((96, 96), 0.7, np.float32)
    full = replace(PLAIN, band_gains=(1.0, 1.0, 1.0), flatten=0.6, equalise=0.8)
    np.testing.assert_allclose(enhanced(flat, full, 0.25), 0.7, atol=1e-5)


def test_multi_scale_compression_raises_faint_detail_over_strong() -> None:
    x = np.arange(400)
    detail = np.where(x < 200, 0.01, 0.5) * np.sin(2 * np.pi * x / 8)
    contrast = np.tile(detail, (40, 1)).astype(np.float32)
    ordinary = enhanced(contrast, PLAIN, 0.25)[20]
    compressed = enhanced(contrast, replace(PLAIN, band_power=0.6), 0.25)[20]
    np.testing.assert_array_equal(ordinary, contrast[20])
    faint, strong = (np.ptp(compressed[part]) / np.ptp(ordinary[part]) for part in (slice(40, 160), slice(240, 360)))
    # Amplitudes a factor of 50 apart come nearer by up to 50^0.4 = 4.8 in the bands that hold the wave.
    assert 2.0 < faint / strong < 4.8
    flat = np.zeros((20, 20), np.float32)
    np.testing.assert_array_equal(enhanced(flat, replace(PLAIN, band_power=0.6), 0.25), flat)


def test_a_jpeg_file_keeps_the_picture_and_loses_the_last_bits() -> None:
    signal = signal_ramp()
    plain = displayed(signal, NOTHING_BLANKED, replace(PLAIN, bits=8), 0.25)
    stored = displayed(signal, NOTHING_BLANKED, replace(PLAIN, bits=8, jpeg_quality=70), 0.25)
    assert set(np.unique(stored)) <= set(range(256))
    difference = np.abs(stored - plain)
    assert 0 < difference.max() < 12  # quantisation steps of quality 70 are 10 for a block's mean, 8 levels apart
    assert np.abs(through_jpeg(plain, 100) - plain).max() <= 2
    with pytest.raises(InputError, match="jpeg_quality"):
        replace(PLAIN, bits=12, jpeg_quality=70)


def test_flattening_compresses_slow_contrast_and_equalising_evens_detail() -> None:
    column = np.arange(400, dtype=np.float32)
    slow = np.sin(2 * np.pi * column / 400)[None].repeat(400, axis=0)
    # 100 mm waves pass a Gaussian of 12 mm by exp(-2 pi^2 (12/100)^2) = 0.75: 0.6 of flattening leaves 0.55.
    flattened = enhanced(slow, replace(PLAIN, flatten=0.6), 0.25)
    assert flattened[:, 50:350].std() / slow[:, 50:350].std() == pytest.approx(0.55, abs=0.06)
    detail = np.sin(2 * np.pi * column / 8) * np.where(column < 200, 0.1, 1.0)
    image = detail[None].repeat(400, axis=0).astype(np.float32)
    evened = enhanced(image, replace(PLAIN, equalise=0.8), 0.25)
    before = image[:, 300:].std() / image[:, :100].std()
    after = evened[:, 300:].std() / evened[:, :100].std()
    assert 1.0 < after < 0.6 * before


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "square"},
        {"signal_range": (0.0, 1.0)},
        {"signal_range": (1.0, 0.5)},
        {"band_gains": (9.0, 0.0, 0.0)},
        {"flatten": 1.5},
        {"equalise": -0.1},
        {"window_percentiles": (90.0, 10.0)},
        {"gamma": 0.0},
        {"sigmoid": 20.0},
        {"bits": 4},
        {"photometric": "RGB"},
        {"blank": 2.0},
    ],
)
def test_wrong_processing_is_refused(change) -> None:
    with pytest.raises(InputError, match="X-ray processing"):
        replace(PLAIN, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"aperture": "hexagon"},
        {"aperture_half_size": (0.0, 1.0)},
        {"heel": 2.0},
        {"beads": -1},
        {"leaf_transmission": float("nan")},
    ],
)
def test_wrong_fields_are_refused(change) -> None:
    with pytest.raises(InputError, match="X-ray field"):
        replace(BARE, **change)
