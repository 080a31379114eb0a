"""What every command's options have in common."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import NoReturn

from bonelift.errors import InputError


class OneLineParser(ArgumentParser):
    """Reports a wrong call in one line, as an InputError, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help explains the call")


def add_common_options(parser: ArgumentParser) -> None:
    """--quiet, --json and --traceback mean the same in every command."""
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary; errors are still shown")
    group.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")
    group.add_argument("--traceback", action="store_true", help="show where an unexpected error came from")


def add_report_options(parser: ArgumentParser) -> None:
    """--label and --pdf mean the same wherever a report is written."""
    parser.add_argument("--label", metavar="TEXT", help="name of the case in the report, such as a study number")
    parser.add_argument("--pdf", action="store_true", help="also write report.pdf, two A4 sheets (extra pdf)")


def positive_float(text: str) -> float:
    """An option's value as a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text} is not a positive number")
    return value


def zero_or_more(text: str) -> float:
    """An option's value as a finite number of 0 or above."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text} is not a number of 0 or above")
    return value


def positive_int(text: str) -> int:
    """An option's value as a whole number above 0."""
    value = whole_number(text)
    if value == 0:
        raise ArgumentTypeError("0 is not a positive whole number")
    return value


def whole_number(text: str) -> int:
    """An option's value as a whole number, 0 or above (a seed, a count)."""
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a whole number, 0 or above")
    return int(text)


def pixel_points(text: str) -> tuple[float, float, float, float]:
    """``x,y,x,y`` in px: two points of an image."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not x,y,x,y in px") from None
    return x0, y0, x1, y1


def pixel_box(text: str) -> tuple[int, int, int, int]:
    """``x0,y0,x1,y1`` in px: left, top, right, lower edge."""
    try:
        x0, y0, x1, y1 = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not x0,y0,x1,y1 in whole px") from None
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise ArgumentTypeError(f"{text!r} is not a box: expected 0 <= x0 < x1 and 0 <= y0 < y1")
    return x0, y0, x1, y1
