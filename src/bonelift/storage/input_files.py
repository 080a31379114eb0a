"""Files that somebody else wrote: only regular ones are opened, none beyond a stated size, and JSON within limits.

Every reader of the package opens its files here, so that a pipe, a device, a bomb or a document nested a thousand deep
ends as one line for the user.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from bonelift.errors import InputError

MEMORY_VARIABLE = "BONELIFT_MEMORY_GIB"
DEFAULT_MEMORY_GIB = 4.0
"""What reading one file may cost: a CT of 2,000 slices of 512 x 512 takes 3 GiB."""
MAX_JSON_BYTES = 64 << 20
MAX_JSON_DEPTH = 64
_MAX_DIGITS = 40
"""The state of a random generator has 39 digits; no file has a longer number to say."""
_MAX_NAME = 80

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def memory_limit_bytes() -> int:
    """Bytes that reading one file may take; BONELIFT_MEMORY_GIB sets it. Raises InputError for what is no number."""
    text = os.environ.get(MEMORY_VARIABLE, "")
    try:
        gib = float(text) if text else DEFAULT_MEMORY_GIB
    except ValueError:
        gib = math.nan
    if not 0.1 <= gib <= 4096:
        raise InputError(f"{MEMORY_VARIABLE} is {text!r:.20}; expected the GiB that reading a file may take, such as 4")
    return int(gib * 2**30)


def check_memory(needed_bytes: float, name: str, what: str) -> None:
    """Raise InputError where reading ``what`` of the file ``name`` would take more than the limit."""
    limit = memory_limit_bytes()
    if needed_bytes > limit:
        raise InputError(
            f"{name}: {what} would take {needed_bytes / 2**30:.1f} GiB of memory; the limit is {limit / 2**30:g} GiB "
            f"({MEMORY_VARIABLE} sets it)"
        )


def shown_name(path: Path) -> str:
    """The file's name for a message: never long, and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in path.name or str(path))[:_MAX_NAME]


@contextmanager
def opened(path: Path, what: str) -> Iterator[BufferedReader]:
    """``with opened(path, "a camera file") as stream:`` a regular file, open for reading.

    Raises InputError, naming ``what`` was expected: no such file, a folder, pipe or device, no permission, a name that
    no file can have.
    """
    name = shown_name(path)
    try:
        stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - used as one below
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; expected {what}") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder; expected {what}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise InputError(f"{name}: cannot be read ({reason}); expected {what}") from error
    with stream:
        _check_regular(stream.fileno(), name, what)
        try:
            yield stream
        except InputError:
            raise
        except OSError as error:
            if error.strerror is None:
                raise
            raise InputError(f"{name}: cannot be read ({error.strerror}); expected {what}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe without waiting for its writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(descriptor: int, name: str, what: str) -> None:
    mode = os.fstat(descriptor).st_mode
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise InputError(f"{name}: is {kind}; expected {what}")


def file_size(path: Path, what: str, limit_bytes: int) -> int:
    """Bytes of a regular file that is not empty. Raises InputError, as ``opened``, and for more than the limit."""
    with opened(path, what) as stream:
        return _checked_size(stream, shown_name(path), what, limit_bytes)


def _checked_size(stream: IO[bytes], name: str, what: str, limit_bytes: int) -> int:
    size = os.fstat(stream.fileno()).st_size
    if size == 0:
        raise InputError(f"{name}: is empty; expected {what}")
    if size > limit_bytes:
        unit, shift = ("MiB", 20) if limit_bytes >= 1 << 20 else ("KiB", 10)
        raise InputError(f"{name}: larger than {limit_bytes >> shift} {unit}; expected {what}")
    return size


def read_bytes(path: Path, what: str, limit_bytes: int) -> bytes:
    """The whole of a regular file. Raises InputError, as ``opened``, where it is empty, and for more than the limit."""
    with opened(path, what) as stream:
        size = _checked_size(stream, shown_name(path), what, limit_bytes)
        content = stream.read(size + 1)
    if len(content) > size:  # it grows
        raise InputError(f"{shown_name(path)}: is larger than it says; wait until it is written, expected {what}")
    return content


def read_head(path: Path, what: str, count: int) -> bytes:
    """The first ``count`` bytes of a regular file. Raises InputError, as ``opened``."""
    with opened(path, what) as stream:
        return stream.read(count)


def read_text(path: Path, what: str, limit_bytes: int) -> str:
    """UTF-8 text, with or without a byte order mark. Raises InputError, as ``read_bytes``, and for other encodings."""
    try:
        return read_bytes(path, what, limit_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown_name(path)}: is no text in UTF-8; expected {what}") from error


def read_json(path: Path, what: str, limit_bytes: int = MAX_JSON_BYTES, nan: bool = False) -> Any:
    """The content of a JSON file. Raises InputError, as ``read_text`` and ``parse_json``."""
    return parse_json(read_text(path, what, limit_bytes), shown_name(path), what, nan)


def parse_json(text: str, name: str, what: str, nan: bool = False) -> Any:
    """JSON of at most 64 levels and numbers of at most 40 digits. Raises InputError.

    nan: take NaN and infinity, which JSON does not have and some of our own records do.
    """
    try:
        constant = float if nan else _no_constant
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=constant)
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{name}: cannot be read as JSON ({reason:.80}); expected {what}") from error
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text) if len(text) <= 10 * _MAX_DIGITS else math.inf
    if not math.isfinite(value):
        raise ValueError("a number that is too large")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text}, which JSON does not have")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise RecursionError


@contextmanager
def understood(name: str, problem: str) -> Iterator[None]:
    """Turn what wrong types and missing entries raise in the block into ``name: problem``.

    For content that a user may have written: a text where a list is expected, a key that is not there, a number that
    does not fit.
    """
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, struct.error) as error:
        raise InputError(f"{name}: {problem}") from error


def plain_text(value: object, what: str, longest: int = 200) -> str:
    """``value`` where it is text that can stand in a table or a path, else InputError; ``what`` starts the message."""
    if not isinstance(value, str):
        raise InputError(f"{what} is {value!r:.60}; expected text")
    if len(value) > longest or not value.isprintable():  # lone surrogates and control characters are not printable
        raise InputError(f"{what} is {value!a:.60}; expected at most {longest} characters, none of them invisible")
    return value
