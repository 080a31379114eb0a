"""Arguments of the public functions, checked at the door: wrong types, shapes, units and NaN become an InputError."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import is_rigid

P = ParamSpec("P")
R = TypeVar("R")
MOST = 2**63 - 1
"""No number of anything is larger; seeds that are do not fit into the generators."""
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def in_python_words(function: Callable[P, R]) -> Callable[P, R]:
    """The library's messages name options of the command line; here they name arguments: ``--sdd-mm`` is ``sdd_mm``."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            error.args = (_OPTION.sub(lambda match: match[1].replace("-", "_"), str(error)),)
            raise

    return called


def a_path(given: object, what: str) -> Path:
    """A file or folder's name as a path."""
    if isinstance(given, str | os.PathLike) and str(given):
        return Path(given)  # pyright: ignore[reportUnknownArgumentType]
    raise InputError(f"{what} is {shown(given)}; expected a path")


def a_number(given: object, what: str, unit: str = "") -> float:
    """A finite number."""
    if isinstance(given, bool) or not isinstance(given, int | float | np.integer | np.floating):
        raise InputError(f"{what} is {shown(given)}; expected a number{f' ({unit})' if unit else ''}")
    if not math.isfinite(given):
        raise InputError(f"{what} is {given}; expected a finite number{f' ({unit})' if unit else ''}")
    return float(given)


def a_count(given: object, what: str, least: int = 0, most: int = MOST) -> int:
    """A whole number from ``least`` to ``most``."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or not least <= given <= most:
        limits = f"{least} or more" if most == MOST else f"{least} to {most}"
        raise InputError(f"{what} is {shown(given)}; expected a whole number, {limits}")
    return int(given)


def a_flag(given: object, what: str) -> bool:
    """True or False, and nothing that merely counts as such: "no" would count as True."""
    if isinstance(given, bool | np.bool_):
        return bool(given)
    raise InputError(f"{what} is {shown(given)}; expected True or False")


def several(given: object, what: str, expected: str) -> list[Any]:
    """A list or tuple, or a single word as a list of one."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, list | tuple):
        return list(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise InputError(f"{what} is {shown(given)}; expected {expected}")


def one_of(given: object, what: str, choices: Sequence[str]) -> str:
    """A word out of ``choices``."""
    if isinstance(given, str) and given in choices:
        return given
    raise InputError(f"{what} is {shown(given)}; expected {' or '.join(repr(choice) for choice in choices)}")


def an_array(given: object, what: str, dimensions: str, ndim: int) -> NDArray[Any]:
    """An array of ``ndim`` axes of finite real numbers. dimensions: how to tell a person, "(rows, columns)"."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is {shown(given)}; expected an array {dimensions}") from error
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} is {shown(given)}; expected an array {dimensions} of real numbers")
    if array.ndim != ndim or 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}; expected {dimensions}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise InputError(f"{what} holds {bad} NaN or infinite of {array.size} numbers; expected finite numbers")
    return array


def poses(given: object, what: str) -> tuple[NDArray[np.float64], bool]:
    """(N, 4, 4) rigid transforms, and whether a single (4, 4) was given."""
    single = np.ndim(given) == 2  # pyright: ignore[reportArgumentType]
    array = an_array([given] if single else given, what, "(4, 4) or (N, 4, 4)", 3).astype(np.float64)
    if array.shape[1:] != (4, 4):
        raise InputError(f"{what} has shape {np.shape(given)}; expected (4, 4) or (N, 4, 4)")  # pyright: ignore
    for number, pose in enumerate(array):
        if not is_rigid(pose, tolerance=1e-4):
            which = what if single else f"{what}[{number}]"
            raise InputError(f"{which} is not rigid; expected a rotation with determinant +1 and a translation in mm")
    return array, single


def shown(given: object) -> str:
    """A wrong argument in a message: short, and without what it holds where that is long."""
    if isinstance(given, np.ndarray):
        return f"an array of shape {given.shape} {given.dtype}"
    text = repr(given)
    return f"{type(given).__name__} {text}" if len(text) <= 40 else type(given).__name__
