"""What a file is, whatever it is called: size, time of change and SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.storage.input_files import opened

MISSING = "missing"


def file_sha256(path: Path) -> bytes:
    """Digest of a regular file's content. Raises InputError where it cannot be read."""
    with opened(path, "a file to read") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def fingerprint(path: Path) -> dict[str, Any]:
    """bytes, changed_ns and sha256 of a file or, for a DICOM series, of the files of its folder.

    What is not there, or is no file, has the size -1 and "missing" for a digest.
    """
    try:
        if path.is_dir():
            parts = [fingerprint(part) for part in sorted(path.iterdir()) if part.is_file()]
            return {
                "bytes": sum(part["bytes"] for part in parts),
                "changed_ns": max((part["changed_ns"] for part in parts), default=0),
                "sha256": hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest(),
            }
        with opened(path, "a file to read") as stream:
            status = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns, "sha256": digest}
    except (OSError, InputError):
        return {"bytes": -1, "changed_ns": 0, "sha256": MISSING}
