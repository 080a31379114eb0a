"""Whether a name that a lab chose is the patient's own in a DICOM header. What is read here is compared and dropped."""

from __future__ import annotations

import re
from pathlib import Path

from bonelift.errors import InputError
from bonelift.images.dicom_file import guarded, is_dicom, read_dataset

_IDENTITY = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientBirthDate",
    "AccessionNumber",
    "StudyID",
)


def identifying_element(path: Path, text: str) -> str | None:
    """The DICOM element of ``path`` (a file, or a folder: its first DICOM file) that ``text`` repeats, else None.

    Whole names count, and each of their parts of three letters or more; capitals and signs between do not. Files of
    other formats hold no identity that is read.
    """
    file = _first_dicom(path)
    if file is None:
        return None
    try:
        dataset = read_dataset(file, stop_before_pixels=True)
        with guarded(file.name, "its header is damaged"):
            header = {keyword: str(dataset.get(keyword) or "") for keyword in _IDENTITY}
    except InputError:
        return None  # the reader of the image itself reports what is wrong with it
    words = _words(text)
    for keyword, value in header.items():
        parts = _words(value)
        if parts and ("".join(parts) == "".join(words) or {p for p in parts if len(p) > 2} & set(words)):
            return keyword
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _first_dicom(path: Path) -> Path | None:
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in files:
            with file.open("rb") as stream:
                if is_dicom(file, stream.read(132)):
                    return file
    except OSError:
        return None
    return None
