"""One picture of a whole study: a tile for each case, with its name and what was found, to look over at a glance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image, ImageDraw

from bonelift import RESEARCH_NOTICE
from bonelift.report.palette import INK, PAPER, lettering

Level = Literal["ok", "warning", "error"]

TILE_PX = (540, 300)
"""Room for the pictures of one case: width and height."""
_GAP_PX, _LINE_PX, _CAPTION_LINES, _HEAD_PX = 12, 17, 3, 46
_MOST_COLUMNS = 4
_LETTER_PX, _NARROWEST_PX = 7, 300
"""What a letter of a caption takes, on average; and the narrowest tile whose caption can be read."""
_DARK = (18, 20, 24)
_FRAMES: dict[Level, tuple[int, int, int]] = {"ok": (60, 130, 90), "warning": (222, 150, 20), "error": (190, 40, 50)}
_WORDS: dict[Level, str] = {"ok": "ok", "warning": "look", "error": "error"}


@dataclass(frozen=True)
class Tile:
    """title: the case. pictures: side by side, made smaller to fit. lines: what was found. level: colour and word."""

    title: str
    pictures: Sequence[Image.Image] = ()
    lines: Sequence[str] = field(default=())
    level: Level = "ok"


def contact_sheet(title: str, tiles: Sequence[Tile]) -> Image.Image:
    """The tiles in rows below a title; at most four in a row, so that a caption can be read without zooming."""
    room = (_widest(tiles), TILE_PX[1])
    columns = max(1, min(_MOST_COLUMNS * TILE_PX[0] // room[0], math.ceil(math.sqrt(len(tiles)))))
    rows = max(1, math.ceil(len(tiles) / columns))
    width, height = room[0] + _GAP_PX, TILE_PX[1] + (_CAPTION_LINES + 1) * _LINE_PX + 2 * _GAP_PX
    sheet = Image.new("RGB", (columns * width + _GAP_PX, rows * height + 2 * _HEAD_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, 12), title, fill=INK, font=lettering(20))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _paste(sheet, draw, tile, (_GAP_PX + column * width, _HEAD_PX + row * height), room)
    draw.text((_GAP_PX, sheet.height - 30), RESEARCH_NOTICE, fill=INK, font=lettering(13))
    return sheet


def _widest(tiles: Sequence[Tile]) -> int:
    """px that the pictures of any tile take in the height of a tile, so that a single film leaves no empty room."""
    wanted = [sum(p.width * TILE_PX[1] / p.height for p in tile.pictures) for tile in tiles if tile.pictures]
    return round(min(TILE_PX[0], max([_NARROWEST_PX, *wanted])))


def _paste(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    (x, y), letters = corner, size[0] // _LETTER_PX
    colour = _FRAMES[tile.level]
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=_DARK)
    if not tile.pictures:
        draw.text((x + 20, y + 20), "no picture", fill=PAPER, font=lettering(16))
    at, room = x, size[0]
    for number, picture in enumerate(tile.pictures):
        small = picture.convert("RGB")
        small.thumbnail((room // (len(tile.pictures) - number), TILE_PX[1]), Image.Resampling.LANCZOS)
        sheet.paste(small, (at, y + (TILE_PX[1] - small.height) // 2))
        at, room = at + small.width, room - small.width
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=colour, width=3)
    top = y + TILE_PX[1] + 5
    draw.text((x, top), f"{tile.title}: {_WORDS[tile.level]}"[:letters], fill=colour, font=lettering(15))
    for number, line in enumerate(_fitted(tile.lines, letters), start=1):
        draw.text((x, top + number * _LINE_PX), line, fill=INK, font=lettering(12))


def _fitted(lines: Sequence[str], letters: int) -> list[str]:
    """At most _CAPTION_LINES lines, none too long; what is left out is counted."""
    shown = [line if len(line) <= letters else line[: letters - 3] + "..." for line in lines]
    if len(shown) <= _CAPTION_LINES:
        return shown
    kept = _CAPTION_LINES - 1
    return [*shown[:kept], f"and {len(shown) - kept} more"]
