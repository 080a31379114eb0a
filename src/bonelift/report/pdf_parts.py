"""Pieces of the PDF's sheets: text in a font that is in the file, films with their outlines, views of the bones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, Table, TableStyle

from bonelift.report.bone_views import BoneView, edge_words, view_name
from bonelift.report.overlay import FilmFigure
from bonelift.report.palette import hex_colour, outline_colour

INK, MUTED, LINE = HexColor("#15191e"), HexColor("#4a545f"), HexColor("#c9d0d8")
FONT, BOLD = "Vera", "VeraBd"  # Bitstream Vera comes with reportlab; only the letters used go into the file.


@cache
def register_fonts() -> frozenset[int]:
    """Makes the fonts known to reportlab; the code points that both have."""
    known = []
    for name in (FONT, BOLD):
        font = TTFont(name, f"{name}.ttf")
        pdfmetrics.registerFont(font)
        known.append(frozenset(font.face.charToGlyph))
    return known[0] & known[1]


def plain(text: str) -> str:
    """``text`` with a question mark for each letter that the fonts do not have."""
    letters = register_fonts()
    return "".join(letter if ord(letter) in letters else "?" for letter in text)


def text(words: str, size: float = 9, *, bold: bool = False, muted: bool = False, right: bool = False) -> Paragraph:
    """A paragraph of plain words; nothing in them is read as markup."""
    style = ParagraphStyle(
        "text",
        fontName=BOLD if bold else FONT,
        fontSize=size,
        leading=1.3 * size,
        textColor=MUTED if muted else INK,
        alignment=2 if right else 0,
    )
    return Paragraph(escape(plain(words)), style)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    right: Sequence[int],
    muted: Sequence[int] = (),
) -> Table:
    """Rows of plain words under a muted header. right: columns that are set to the right, as numbers are. muted: rows
    that are set in grey."""
    body = [[text(word, 8, bold=True, muted=True, right=n in right) for n, word in enumerate(header)]]
    for number, row in enumerate(rows):
        body.append([text(word, 8.5, muted=number in muted, right=n in right) for n, word in enumerate(row)])
    style = TableStyle(
        [
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-2, -1), 8),
            ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
        ]
    )
    return Table(body, colWidths=list(widths), style=style, hAlign="LEFT")


def boxed(words: Sequence[Paragraph], width: float, edge: Color, left_only: bool = False) -> Table:
    """Paragraphs in a frame, or beside a thick line."""
    style: list[Any] = [("LINEBEFORE", (0, 0), (0, -1), 3, edge)] if left_only else [("BOX", (0, 0), (-1, -1), 1, edge)]
    style += [(side, (0, 0), (-1, -1), pad) for side, pad in (("TOPPADDING", 3), ("BOTTOMPADDING", 4))]
    return Table([[list(words)]], colWidths=[width], style=TableStyle(style), hAlign="LEFT")


class FilmPicture(Flowable):
    """A film with the outlines as vector lines, the letters of its edges and a bar of 10 mm."""

    def __init__(self, figure: FilmFigure, width: float, height: float, side_letter: str) -> None:
        super().__init__()
        self.figure, self.side_letter = figure, side_letter
        self.scale = min(width / figure.picture.width, height / figure.picture.height)
        self.width, self.height = figure.picture.width * self.scale, figure.picture.height * self.scale

    def draw(self) -> None:
        sheet, figure = self.canv, self.figure
        sheet.drawImage(_jpeg(figure.picture), 0, 0, self.width, self.height)
        sheet.setLineJoin(1)
        for width, rim in ((2.8, True), (1.7, False)):
            for name, lines in figure.outlines.items():
                colour = "#000000" if rim else hex_colour(outline_colour(name))
                sheet.setStrokeColor(HexColor(colour))
                sheet.setLineWidth(width)
                for line in lines:
                    path = sheet.beginPath()
                    points = [(x * self.scale, self.height - y * self.scale) for x, y in line[::3]]
                    path.moveTo(*points[0])
                    for point in points[1:]:
                        path.lineTo(*point)
                    if abs(line[0] - line[-1]).max() < 1e-6:
                        path.close()
                    sheet.drawPath(path)
        places = {"left": (4, self.height / 2), "right": (self.width - 4, self.height / 2)}
        places |= {"top": (self.width / 2, self.height - 12), "bottom": (self.width / 2, 4)}
        for edge, word in figure.edges.items():
            x, y = places[edge]
            _label(sheet, word, x, y, 8, {"left": 0.0, "right": 1.0}.get(edge, 0.5))
        _label(sheet, self.side_letter, 4, self.height - 16, 12, 0.0)
        _bar(sheet, 8, 8, 10 * figure.px_per_mm * self.scale)


class BoneViews(Flowable):
    """Views of the bones in one line and one scale, each with its name, its edges and a bar."""

    def __init__(
        self, views: Sequence[tuple[BoneView, Image.Image]], px_per_mm: float, width: float, side: Any
    ) -> None:
        super().__init__()
        self.views, self.side, self.gap = views, side, 12.0
        total = sum(picture.width for _, picture in views)
        self.scale = min((width - self.gap * (len(views) - 1)) / total, 2.2 * 72 / 25.4 / px_per_mm)
        self.px_per_mm, self.width, self.below = px_per_mm, width, 40.0
        self.height = max(picture.height for _, picture in views) * self.scale + self.below

    def draw(self) -> None:
        sheet, left = self.canv, 0.0
        letter = "R" if self.side == "right" else "L"
        for view, picture in self.views:
            wide, high = picture.width * self.scale, picture.height * self.scale
            white = Image.new("RGB", picture.size, "white")
            white.paste(picture, (0, 0), picture)
            sheet.drawImage(_jpeg(white), left, self.below, wide, high)
            sheet.setFillColor(INK)
            sheet.setFont(FONT, 7)
            first, last = edge_words(view, self.side)
            sheet.drawString(left, self.below - 9, first)
            sheet.drawRightString(left + wide, self.below - 9, last)
            sheet.setFont(BOLD, 8)
            sheet.drawCentredString(left + wide / 2, self.below - 9, letter)
            sheet.setStrokeColor(INK)
            sheet.setLineWidth(1.6)
            sheet.line(left, self.below - 20, left + 10 * self.px_per_mm * self.scale, self.below - 20)
            sheet.setFont(FONT, 7)
            sheet.drawString(left + 10 * self.px_per_mm * self.scale + 4, self.below - 22, "10 mm")
            sheet.setFillColor(MUTED)
            sheet.drawString(left, self.below - 33, view_name(view))
            left += wide + self.gap


class Swatches(Flowable):
    """Coloured fields with their words, in lines of two. Each: (colours from left to right, whether a line, words)."""

    def __init__(self, entries: Sequence[tuple[Sequence[Color], bool, str]], width: float) -> None:
        super().__init__()
        self.entries, self.width, self.height = entries, width, 13.0 * ((len(entries) + 1) // 2)

    def draw(self) -> None:
        for number, (colours, thin, words) in enumerate(self.entries):
            left, bottom = self.width / 2 * (number % 2), self.height - 13.0 * (number // 2 + 1) + 3
            step = 26 / len(colours)
            for n, colour in enumerate(colours):
                self.canv.setFillColor(colour)
                self.canv.rect(left + n * step, bottom + (2 if thin else 0), step, 3 if thin else 8, stroke=0, fill=1)
            self.canv.setFillColor(INK)
            self.canv.setFont(FONT, 8)
            self.canv.drawString(left + 33, bottom + 1, words)


def _jpeg(picture: Image.Image) -> ImageReader:
    """The picture as JPEG, which the PDF holds as it is: a film's grain makes anything else five times larger."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90, subsampling=0)
    buffer.seek(0)
    return ImageReader(buffer)


def _label(sheet: Any, word: str, x: float, y: float, size: float, along: float) -> None:
    """A word on a white field; ``along`` of its width (0 to 1) lies left of ``x``."""
    width = pdfmetrics.stringWidth(word, BOLD, size) + 6
    sheet.setFillColor(HexColor("#ffffff"))
    sheet.roundRect(x - along * width, y - 2, width, size + 3, 2, stroke=0, fill=1)
    sheet.setFillColor(INK)
    sheet.setFont(BOLD, size)
    sheet.drawString(x - along * width + 3, y + 0.5, word)


def _bar(sheet: Any, x: float, y: float, length: float) -> None:
    for width, colour in ((4.0, "#000000"), (2.0, "#ffffff")):
        sheet.setStrokeColor(HexColor(colour))
        sheet.setLineWidth(width)
        sheet.line(x, y, x + length, y)
    _label(sheet, "10 mm", x, y + 6, 7, 0.0)
