"""What a file that is no radiograph is instead, by how it begins: a message that names it helps more than a refusal."""

from __future__ import annotations

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; export the film from it as PNG or DICOM"),
    (b"PK\x03\x04", "a zip archive or an Office document; unpack it and pass the films in it"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"Rar!", "a RAR archive; unpack it and pass the films in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and pass the films in it"),
    (b"\x1f\x8b", "a gzip file; unpack it (a .nii.gz is a CT volume, not a film)"),
    (b"GIF8", "a GIF picture; save it as PNG"),
    (b"BM", "a BMP picture; save it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture; save it as PNG"),
    (b"NRRD", "an NRRD volume, not a film"),
    (b"solid ", "an STL mesh, not a film"),
    (b"glTF", "a GLB mesh, not a film"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"<svg", "an SVG drawing"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)


def kind_of_file(head: bytes) -> str | None:
    """What a file that begins with ``head`` (16 bytes or more) is, in words for a message; None where that is not
    known."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture; save it as PNG"
    if head[4:8] == b"ftyp":
        return "a HEIC photograph or a video; save the film as PNG"
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)
