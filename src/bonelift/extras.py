"""What the optional parts of an installation are, and what to say where one is missing.

The package is on no index: it is installed from a clone of its repository or from a wheel, and so are its extras.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from bonelift.errors import InputError


@dataclass(frozen=True)
class Extra:
    """One optional part. name: as in ``pip install ".[name]"``. modules: what it brings, by the name that Python
    imports. what: of them, for a person. use: what it is needed for."""

    name: str
    modules: tuple[str, ...]
    what: str
    use: str


EXTRAS: tuple[Extra, ...] = (
    Extra("train", ("torch", "onnx", "onnxscript"), "PyTorch", "train, evaluate and models without ONNX graphs"),
    Extra("study", ("torch", "matplotlib"), "PyTorch and matplotlib", "evaluate and its figures"),
    Extra("methods", ("monai", "einops"), "MONAI and einops", "the 3D networks of evaluate --methods"),
    Extra("bench", ("matplotlib",), "matplotlib", "the figures of bench and register"),
    Extra("cluster", ("distributed",), "Dask", "evaluate --scheduler"),
    Extra("dicom", ("highdicom",), "highdicom", "DICOM results, and DICOM segmentations in import"),
    Extra("excel", ("openpyxl",), "openpyxl", "Excel tables in import"),
    Extra("pdf", ("reportlab",), "reportlab", "report.pdf"),
    Extra("serve", ("fastapi", "uvicorn"), "FastAPI and uvicorn", "serve"),
    Extra("jpeg", ("pylibjpeg", "openjpeg", "libjpeg"), "pylibjpeg", "JPEG and JPEG 2000 compressed DICOM"),
    Extra("tables", ("spekpy", "xraydb"), "SpekPy and xraydb", "rebuilding the packaged X-ray tables"),
)
_EXTRA_OF_MODULE = {"torch": "train", "onnx": "train", "onnxscript": "train", "matplotlib": "study"}
_NAMES = {"torch": "PyTorch", "distributed": "Dask", "fastapi": "FastAPI"}


def is_there(module: str) -> bool:
    """Whether Python would find the module; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def is_optional(module: str) -> bool:
    """Whether the module belongs to an extra: an installation without it is whole."""
    return any(module in extra.modules for extra in EXTRAS)


def how_to_install(extra: str) -> str:
    """One clause that says how an extra comes into this installation."""
    first = ", PyTorch's CPU build first (README, Install)" if extra in ("train", "study") else ""
    return f"run pip install '.[{extra}]' in the folder of bonelift's source{first}"


def missing(module: str, what: str = "this") -> InputError:
    """The error to raise where ``module`` is not there. what: the work that needs it; starts the message."""
    extra = _EXTRA_OF_MODULE.get(module) or next((e.name for e in EXTRAS if module in e.modules), None)
    name = _NAMES.get(module, module)
    if extra is None:
        return InputError(f"{what} needs {name}, which is not installed; install bonelift again")
    return InputError(f"{what} needs {name}, which is not installed; {how_to_install(extra)}")
