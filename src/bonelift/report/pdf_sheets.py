"""The two sheets of the PDF, drawn by reportlab."""

from __future__ import annotations

import io
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepInFrame, Spacer, Table, TableStyle

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.report.bone_views import VIEWS, BoneView, view_picture
from bonelift.report.content import ReportContent
from bonelift.report.overlay import film_figure, film_outlines
from bonelift.report.page import number
from bonelift.report.palette import hex_colour, outline_colour, surface_colour
from bonelift.report.pdf_parts import (
    FONT,
    MUTED,
    BoneViews,
    FilmPicture,
    Swatches,
    boxed,
    plain,
    register_fonts,
    table,
    text,
)
from bonelift.report.words import (
    EXPECTED_WORDS,
    INTENDED_FOR,
    MEASUREMENT_KINDS,
    OVERLAY_WORDS,
    QUALITY_WORDS,
    VIEW_NAMES,
    by_severity,
    expected_range,
    grave_flags,
    quantity,
)

MARGIN = 36.0
WIDTH = A4[0] - 2 * MARGIN
_FOOT = 26.0
_SEVERITY = {"severe": HexColor("#b3261e"), "warning": HexColor("#b26a00"), "info": HexColor("#0b5cad")}
_VIEW_PX_PER_MM = 7.0


def draw_sheets(content: ReportContent) -> bytes:
    """See :func:`bonelift.report.pdf.report_pdf`."""
    register_fonts()
    buffer = io.BytesIO()
    # invariant: no time and no random number goes into the file.
    sheet = Canvas(buffer, pagesize=A4, invariant=1)
    sheet.setTitle(plain(content.heading))
    sheet.setSubject(RESEARCH_NOTICE)
    sheet.setAuthor(f"bonelift {__version__}")
    sheet.setCreator(f"bonelift {__version__}")
    for page, story in enumerate((_first_sheet(content), _second_sheet(content)), start=1):
        _lay(sheet, [*_header(content), *story], MARGIN, MARGIN + _FOOT, WIDTH, A4[1] - 2 * MARGIN - _FOOT)
        sheet.setFont(FONT, 7.5)
        sheet.setFillColor(MUTED)
        sheet.drawString(MARGIN, MARGIN, RESEARCH_NOTICE)
        sheet.drawRightString(A4[0] - MARGIN, MARGIN, f"sheet {page} of 2")
        sheet.showPage()
    sheet.save()
    return buffer.getvalue()


def _lay(sheet: Canvas, story: list[Any], x: float, y: float, width: float, height: float) -> None:
    """The story from the top of a rectangle down, shrunk where it is too long."""
    frame = KeepInFrame(width, height, story, mode="shrink", hAlign="LEFT")
    _, used = frame.wrapOn(sheet, width, height)
    frame.drawOn(sheet, x, y + height - used)


def _header(content: ReportContent) -> list[Flowable]:
    films = "one radiograph" if len(content.films) == 1 else "two radiographs"
    made = f" · {content.created}" if content.created else ""
    return [
        text(content.heading, 15, bold=True),
        text(f"3D model of the distal radius and ulna from {films}{made} · bonelift {__version__}", 8.5, muted=True),
        Spacer(0, 5),
        boxed([text(RESEARCH_NOTICE, 9, bold=True), text(INTENDED_FOR, 9)], WIDTH, MUTED),
        Spacer(0, 8),
    ]


def _first_sheet(content: ReportContent) -> list[Flowable]:
    films, trust = _films(content), _trust(content)
    if len(content.films) == 1:
        block: list[Flowable] = [_columns([films, trust], [0.6 * WIDTH, 0.4 * WIDTH])]
    else:
        block = [*films, Spacer(0, 6), *trust]
    return [*block, Spacer(0, 8), *_bones(content)]


def _films(content: ReportContent) -> list[Flowable]:
    several = len(content.films) > 1
    width, height = (0.5 * WIDTH - 6, 200.0) if several else (0.6 * WIDTH - 12, 330.0)
    cells: list[list[Flowable]] = []
    placed = False
    for film in content.films:
        outlines = film_outlines(film)
        here = any(outlines.values())
        placed |= here
        figure = film_figure(film, outlines, content.side, close_up=here)
        words = f"{VIEW_NAMES[film.view]} view, as recorded" + (", enlarged" if here else "; the bones were not placed")
        letter = "R" if content.side == "right" else "L"
        cells.append([FilmPicture(figure, width, height, letter), text(words, 8, muted=True)])
    films: list[Flowable] = [text("The bones on the radiograph", 11, bold=True), Spacer(0, 3)]
    films += [_columns(cells, [0.5 * WIDTH] * 2)] if several else cells[0]
    if placed:
        films += [Spacer(0, 3), _outline_legend(content, WIDTH if several else 0.6 * WIDTH - 12)]
        films.append(text(OVERLAY_WORDS, 8, muted=True))
    return films


def _outline_legend(content: ReportContent, width: float) -> Swatches:
    return Swatches(
        [([HexColor(hex_colour(outline_colour(n)))], True, f"{plain(n)}, outline") for n in content.bones], width
    )


def _trust(content: ReportContent) -> list[Flowable]:
    width = WIDTH if len(content.films) > 1 else 0.4 * WIDTH
    grave = grave_flags(content.flags)
    found: list[Flowable] = [text("How far to trust it", 11, bold=True), Spacer(0, 3)]
    if grave:
        found.append(text(grave, 9, bold=True))
    if content.quality_score is not None:
        found.append(text(f"Quality {number(content.quality_score)}. {QUALITY_WORDS}", 9))
    for flag in by_severity(content.flags):
        found += [
            Spacer(0, 3),
            boxed([text(f"{flag.severity.upper()}: {flag.text}", 8.5)], width, _SEVERITY[flag.severity], True),
        ]
    if not content.flags:
        found.append(text("No flags were raised.", 9, muted=True))
    if content.expected:
        rows = [
            (name, f"{number(error.as_predicted_mm)} mm", f"{number(error.rigid_mm)} mm")
            for name, error in content.expected.items()
        ]
        found += [Spacer(0, 5), table(("Expected error", "as predicted", "shape alone"), rows, [width / 3] * 3, (1, 2))]
        found.append(text(EXPECTED_WORDS, 8, muted=True))
    return found


def _bones(content: ReportContent) -> list[Flowable]:
    bones = {name: mesh for name, mesh in content.bones.items() if not mesh.is_empty}
    heading = text("The bones in 3D", 11, bold=True)
    if not bones:
        return [heading, text("No surface was reconstructed.", 9, muted=True)]
    views: list[tuple[BoneView, Any]] = [
        (view, view_picture(bones, content.side, view, _VIEW_PX_PER_MM)) for view in VIEWS
    ]
    legend = Swatches([([HexColor(hex_colour(surface_colour(name)))], False, plain(name)) for name in bones], 240)
    drawn: list[Flowable] = [heading, Spacer(0, 3), BoneViews(views, _VIEW_PX_PER_MM, WIDTH, content.side), legend]
    return drawn


def _second_sheet(content: ReportContent) -> list[Flowable]:
    facts = [(fact.name, fact.value, fact.source) for fact in content.facts]
    found: list[Flowable] = []
    if content.measurements:
        found += [text("Measurements", 11, bold=True), *_measurements(content)]
    found += [
        Spacer(0, 10),
        text("What this rests on", 11, bold=True),
        Spacer(0, 3),
        table(("Fact", "Value", "Where it came from"), facts, [0.28 * WIDTH, 0.22 * WIDTH, 0.5 * WIDTH], ()),
        Spacer(0, 10),
        text("What the colours mean", 11, bold=True),
        Spacer(0, 3),
        _colours(content),
        Spacer(0, 8),
        text(f"Networks: {content.model_id}; SHA-256 of their weights: {content.model_sha256}", 7.5, muted=True),
    ]
    return found


def _measurements(content: ReportContent) -> list[Flowable]:
    with_truth = any(measurement.truth is not None for measurement in content.measurements)
    header = ("Value", "Expected error", "Bias", "Normal range", *(("Truth",) if with_truth else ()))
    widths = [0.13 * WIDTH] * len(header)
    widths = [WIDTH - sum(widths), *widths]
    found: list[Flowable] = [text(content.measurements_note, 8, muted=True)] if content.measurements_note else []
    for kind, words in MEASUREMENT_KINDS:
        group = [measurement for measurement in content.measurements if measurement.kind == kind]
        rows = [
            (
                f"{one.name} ({one.note})" if one.note else one.name,
                quantity(one, "value"),
                (limits := expected_range(one))[0],
                quantity(one, "bias"),
                limits[1],
                *((quantity(one, "truth"),) if with_truth else ()),
            )
            for one in group
        ]
        muted = [n for n, one in enumerate(group) if one.has_skill is False]
        if group:
            found += [Spacer(0, 3), table((words, *header), rows, widths, range(1, len(widths)), muted)]
    return found


def _colours(content: ReportContent) -> Swatches:
    entries: list[tuple[list[Any], bool, str]] = []
    for name in content.bones:
        entries.append(
            ([HexColor(hex_colour(outline_colour(name)))], True, f"outline of the {plain(name)} on the film")
        )
        entries.append(([HexColor(hex_colour(surface_colour(name)))], False, f"surface of the {plain(name)} in 3D"))
    words = ("severe flag: do not rely on the result", "warning: a part may be wrong", "info: assumed or noted")
    entries += [([colour], False, word) for colour, word in zip(_SEVERITY.values(), words, strict=True)]
    return Swatches(entries, WIDTH)


def _columns(cells: list[list[Flowable]], widths: list[float]) -> Table:
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    style += [("RIGHTPADDING", (0, 0), (-1, -1), 12), ("RIGHTPADDING", (-1, 0), (-1, -1), 0)]
    style += [(side, (0, 0), (-1, -1), 0) for side in ("TOPPADDING", "BOTTOMPADDING")]
    return Table([cells], colWidths=widths, style=TableStyle(style), hAlign="LEFT")
