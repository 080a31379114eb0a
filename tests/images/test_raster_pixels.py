"""Pictures and masks as paint programs, MATLAB and annotation tools save them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from bonelift.errors import InputError
from bonelift.images.masks import EITHER, read_mask
from bonelift.images.raster import read_raster
from builders.radiograph_files import film_pixels

TRUE = film_pixels()
BONE = np.zeros((60, 40), dtype=bool)
BONE[20:, 10:20] = True
ULNA_PART = np.zeros_like(BONE)
ULNA_PART[20:, 25:30] = True


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("u1", 1 / 16), ("i1", 1 / 32), ("u2", 1), ("i2", 1), ("u4", 1_000_000), ("i4", 1), ("u8", 2**40), ("f4", 1e-3),
     ("f8", 1e-3), ("f2", 1)],
)  # fmt: skip
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_number_of_a_tiff_is_read_as_it_is(tmp_path, dtype, scale, order):
    """32-bit unsigned levels above 2^31 came out negative: the brightest bone the darkest."""
    values = (TRUE.astype(np.float64) * scale).astype(order + dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=order)
    pixels = read_raster(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(pixels, values.astype(np.float32))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f8"])
def test_white_is_zero_is_undone(tmp_path, dtype):
    values = (TRUE // 16).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values.max() - values, photometric="miniswhite")
    pixels = read_raster(tmp_path / "a.tif").pixels
    np.testing.assert_allclose(pixels - pixels.min(), values - values.min())


def test_what_a_tiff_cannot_be_is_said(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", TRUE.astype(np.float64))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_raster(tmp_path / "cut.tif")
    tifffile.imwrite(
        tmp_path / "c.tif", TRUE[None].repeat(3, 0).astype(np.float64).transpose(1, 2, 0), photometric="rgb"
    )
    with pytest.raises(InputError, match=r"is a TIFF of .* float64, which is not read"):
        read_raster(tmp_path / "c.tif")
    tifffile.imwrite(tmp_path / "nan.tif", np.where(TRUE > 2000, np.nan, TRUE).astype(np.float64))
    with pytest.raises(InputError, match="NaN"):
        read_raster(tmp_path / "nan.tif")


def test_transparent_pixels_are_no_part_of_a_film(tmp_path):
    grey = (TRUE // 16).astype(np.uint8)
    alpha = np.full_like(grey, 255)
    alpha[:10] = 0
    for name, layers in (("la.png", [grey, alpha]), ("rgba.png", [grey, grey, grey, alpha])):
        Image.fromarray(np.dstack(layers)).save(tmp_path / name)
        recorded = read_raster(tmp_path / name)
        assert recorded.padding is not None
        np.testing.assert_array_equal(recorded.padding, alpha == 0)
        np.testing.assert_array_equal(recorded.pixels[10:], grey[10:])


def test_a_film_of_a_grey_palette_is_read_by_its_colours(tmp_path):
    grey = (TRUE // 16).astype(np.uint8)
    image = Image.fromarray(255 - grey, mode="P")
    image.putpalette(np.repeat(np.arange(255, -1, -1), 3).astype(np.uint8).tolist())
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_raster(tmp_path / "p.png").pixels, grey)


# --- masks -----------------------------------------------------------------------------------------------------------


def indexed(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    image.putpalette([level for colour in colours for level in colour] + [0] * (768 - 3 * len(colours)))
    return image


def drawings() -> dict[str, Image.Image]:
    grey, white = (BONE * 255).astype(np.uint8), np.full(BONE.shape, 255, np.uint8)
    black, red = np.zeros_like(grey), (255, 0, 0)
    return {
        "grey": Image.fromarray(grey),
        "16 bit": Image.fromarray(grey.astype(np.uint16) * 257),
        "grey and opaque alpha": Image.fromarray(np.dstack([grey, white])),
        "white on transparent": Image.fromarray(np.dstack([white, white, white, grey])),
        "black on transparent": Image.fromarray(np.dstack([black, black, black, grey])),
        "red on transparent": Image.fromarray(np.dstack([white, black, black, grey])),
        "white on opaque black": Image.fromarray(np.dstack([grey, grey, grey, white])),
        "grey and alpha as mask": Image.fromarray(np.dstack([white, grey])),
        "red on black": Image.fromarray(np.dstack([grey, black, black])),
        "index 0 white": indexed(np.where(BONE, 0, 1), (255, 255, 255), (0, 0, 0)),
        "index 1 white": indexed(BONE, (0, 0, 0), (255, 255, 255)),
        "index 5 red": indexed(BONE * 5, (0, 0, 0), *[(9, 9, 9)] * 4, red),
        "index 0 red": indexed(np.where(BONE, 0, 1), red, (0, 0, 0)),
        "1 bit": Image.fromarray(BONE),
    }


@pytest.mark.parametrize("name", drawings())
def test_bone_is_what_was_drawn(tmp_path, name):
    drawings()[name].save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), np.where(BONE, EITHER, 0))


def test_levels_and_labels_1_and_2_are_radius_and_ulna(tmp_path):
    labels = np.where(BONE, 1, np.where(ULNA_PART, 2, 0)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    indexed(labels, (0, 0, 0), (128, 0, 0), (0, 128, 0)).save(tmp_path / "annotated.png")
    tifffile.imwrite(tmp_path / "wide.tif", labels.astype(np.float64))
    for name in ("grey.png", "annotated.png", "wide.tif"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), labels)


@pytest.mark.parametrize("mask", [np.ones_like(BONE), ~BONE])
def test_a_mask_of_the_background_is_refused(tmp_path, mask):
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match="marks all corners"):
        read_mask(tmp_path / "m.png")
