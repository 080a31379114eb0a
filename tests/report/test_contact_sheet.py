"""The picture of a study: every case has its place, its colour and its words."""

from __future__ import annotations

import numpy as np
from PIL import Image

from bonelift.report.contact_sheet import TILE_PX, Tile, contact_sheet


def picture(width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def test_every_tile_is_there_in_its_colour_and_a_case_without_picture_too():
    tiles = [
        Tile("one", [picture(400, 300, (200, 10, 10))]),
        Tile("two", [picture(100, 300, (10, 200, 10)), picture(900, 300, (10, 10, 200))], ["look"] * 9, "warning"),
        Tile("three", (), ["a file is missing"], "error"),
    ]
    sheet = np.asarray(contact_sheet("a study", tiles))
    for colour in ((200, 10, 10), (10, 200, 10), (10, 10, 200), (222, 150, 20), (190, 40, 50), (60, 130, 90)):
        assert (sheet == colour).all(axis=-1).sum() > 200, colour
    # Two rows of two, each of the whole width, since one tile needs it.
    assert sheet.shape[1] > 2 * TILE_PX[0]


def test_single_films_leave_no_empty_room():
    sheet = contact_sheet("films", [Tile(str(n), [picture(240, 300, (9, 9, 9))]) for n in range(6)])
    assert sheet.width < 3 * 300 + 100
    assert contact_sheet("nothing", []).width > 0
