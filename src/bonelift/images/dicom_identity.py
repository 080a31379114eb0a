"""Whether a name that a lab chose is the patient's own in a DICOM header, and whether two headers name one patient.

What is read here is compared and dropped.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from bonelift.errors import InputError
from bonelift.images.dicom_file import HEAD_BYTES, guarded, is_dicom, read_dataset
from bonelift.storage.input_files import read_head

_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientTelephoneNumbers")
_BIRTH = "PatientBirthDate"
_NOBODY = {"case", "wrist", "hand", "patient", "study", "left", "right", "radius", "ulna", "bone", "subject", "virtual"}
"""Words of which every study's names are made, whoever may be called so."""
_SPELLINGS = (("ue", "u"), ("oe", "o"), ("ae", "a"), ("aa", "a"), ("ss", "s"))
_LETTERS = str.maketrans({"ß": "s", "ø": "o", "æ": "a", "œ": "o", "ł": "l", "đ": "d", "ı": "i"})


def identifying_element(path: Path, text: str) -> str | None:
    """The DICOM element of ``path`` (a file, or a folder: its first DICOM file) that ``text`` repeats, else None.

    A name counts in any order and spelling (Müller, mueller, muller), run together with other things or with an
    initial; a number with or without letters and leading zeros; a date of birth in any order. Files of other formats
    hold no identity that is read.
    """
    file = _first_dicom(path)
    if file is None:
        return None
    try:
        dataset = read_dataset(file, stop_before_pixels=True)
        with guarded(file.name, "its header is damaged"):
            others = dataset.get("OtherPatientIDsSequence") or []
            numbers = [(keyword, _text(dataset, keyword)) for keyword in _NUMBERS]
            numbers += [("OtherPatientIDsSequence", _text(item, "PatientID")) for item in others]
            names = [(keyword, _text(dataset, keyword)) for keyword in _NAMES]
            birth = re.sub(r"\D", "", _text(dataset, _BIRTH))
    except InputError:
        return None  # the reader of the image itself reports what is wrong with it
    for keyword, value in names:
        if _repeats_name(text, value):
            return keyword
    for keyword, value in numbers:
        if _repeats_number(text, value) or _repeats_name(text, value):
            return keyword
    return _BIRTH if _repeats_date(text, birth) else None


def patients_differ(first: Path, second: Path) -> bool:
    """Whether the DICOM headers of two files name two patients: by PatientID where both have one, else by name and date
    of birth. False where either file is no DICOM file or says nothing. Nothing that was read is kept or told."""
    ours, theirs = _identity(first), _identity(second)
    if ours is None or theirs is None:
        return False
    number, name = (bool(a) and bool(b) and a != b for a, b in zip(ours, theirs, strict=True))
    return number or (name and not (ours[0] and theirs[0]))


def _identity(path: Path) -> tuple[str, str] | None:
    """(number, name with date of birth) in one spelling, "" where the header has none; None where it is no DICOM."""
    try:
        if not is_dicom(read_head(path, "a DICOM file", HEAD_BYTES)):
            return None
        dataset = read_dataset(path, stop_before_pixels=True)
        with guarded(path.name, "its header is damaged"):
            number, name, birth = (_text(dataset, keyword) for keyword in ("PatientID", "PatientName", _BIRTH))
    except InputError:
        return None  # the reader of the image itself reports what is wrong with it
    words = sorted(_words(name))
    return re.sub(r"\s", "", number.casefold()), " ".join([*words, re.sub(r"\D", "", birth)] if words else [])


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return " ".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "")


def _words(text: str) -> list[str]:
    """Runs of letters, in one spelling."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    words = re.findall(r"[^\W\d_]+", "".join(c for c in plain if not unicodedata.combining(c)).replace("'", ""))
    for long, short in _SPELLINGS:
        words = [word.replace(long, short) for word in words]
    return words


def _repeats_name(text: str, name: str) -> bool:
    parts = [part for part in _words(name) if part not in _NOBODY]
    words = [word for word in _words(text) if word not in _NOBODY]
    if not parts or not words:
        return False
    together = "".join(words)
    if any(len(part) >= 4 and part in together for part in parts):
        return True
    pairs = {a + b for a in parts for b in parts if a != b}
    initials = {a + b[0] for a in parts for b in parts if a != b} | {b[0] + a for a in parts for b in parts if a != b}
    known = {part for part in parts if len(part) > 1} | {p for p in pairs | initials if len(p) > 2}
    return bool(known & {*words, together})


def _repeats_number(text: str, number: str) -> bool:
    runs = [run.lstrip("0") for run in re.findall(r"\d+", text)]
    together = re.sub(r"\W|_", "", text.casefold())
    whole = re.sub(r"\W|_", "", number.casefold())
    if len(whole) >= 3 and whole == together:
        return True
    for own in (run.lstrip("0") for run in re.findall(r"\d+", number)):
        if len(own) >= 4 and (own in runs or (len(own) >= 6 and any(own in run for run in runs))):
            return True
    return False


def _repeats_date(text: str, date: str) -> bool:
    if len(date) != 8:
        return False
    year, month, day = date[:4], date[4:6], date[6:]
    digits = re.sub(r"\D", "", text)
    orders = [a + b + c for a, b, c in ((year, month, day), (day, month, year), (month, day, year))]
    short = {order.replace(year, year[2:], 1) for order in orders}
    return any(order in digits for order in orders) or digits in short


def _first_dicom(path: Path) -> Path | None:
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if is_dicom(read_head(file, "a DICOM file", HEAD_BYTES)):
                return file
    except (OSError, InputError):
        return None
    return None
