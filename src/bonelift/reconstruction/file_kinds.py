"""Which files a result can be written as. Nothing heavy is imported here: the command line asks for its choices."""

from __future__ import annotations

from typing import Literal, get_args

from bonelift.errors import InputError

FileKind = Literal["stl", "glb", "seg", "nifti", "csv", "dicom"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)
DEFAULT_KINDS: tuple[FileKind, ...] = ("stl", "glb", "seg", "csv")
"""Fast and small; the pictures, report.html and reconstruction.json are always written."""
Identity = Literal["none", "source"]
IDENTITIES: tuple[Identity, ...] = get_args(Identity)


def file_kinds(text: str) -> tuple[FileKind, ...]:
    """``"stl,glb"`` -> ("stl", "glb"), in the order of FILE_KINDS. Raises InputError for another word."""
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in FILE_KINDS]
    if unknown or not words:
        got = f"{unknown[0]!r:.40}" if unknown else "nothing"
        raise InputError(f"--files got {got}; expected some of {','.join(FILE_KINDS)}, with commas between")
    return tuple(kind for kind in FILE_KINDS if kind in words)
