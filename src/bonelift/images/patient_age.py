"""Whether a DICOM header says that the patient was not grown up when the film was taken. Nothing else of it is kept."""

from __future__ import annotations

import re
from datetime import date

from pydicom.dataset import Dataset

from bonelift.images.dicom_file import word

CHILD_UNDER, GROWN_UP_FROM = 15, 18
"""Years. The growth plate of the distal radius closes between some 14 and 18 years."""
_YEARS_OF_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_TAKEN = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


def not_grown_up(dataset: Dataset) -> tuple[int, str] | None:
    """The limit in years, CHILD_UNDER or GROWN_UP_FROM, that the patient was below, and the element that says so.

    None for an adult, and where the header holds no age that can be read: one of more than 130 years, or a date of
    birth after the film, counts as none.
    """
    for years, element in ((_stated(dataset), "PatientAge (0010,1010)"), (_from_birth(dataset), "the date of birth")):
        if years is not None and 0 <= years <= 130:
            limits = [limit for limit in (CHILD_UNDER, GROWN_UP_FROM) if years < limit]
            return (limits[0], element) if limits else None
    return None


def _stated(dataset: Dataset) -> float | None:
    """Years by an age string such as 012Y."""
    found = re.fullmatch(r"(\d{1,3})([DWMY])", word(dataset, "PatientAge"))
    return int(found[1]) * _YEARS_OF_UNIT[found[2]] if found else None


def _from_birth(dataset: Dataset) -> float | None:
    born = _date(word(dataset, "PatientBirthDate"))
    taken = next((day for day in (_date(word(dataset, keyword)) for keyword in _TAKEN) if day), None)
    return None if born is None or taken is None else (taken - born).days / 365.25


def _date(text: str) -> date | None:
    """A DICOM date, YYYYMMDD."""
    digits = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    try:
        return date(*map(int, digits.groups())) if digits else None
    except ValueError:
        return None
