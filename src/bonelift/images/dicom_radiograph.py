"""DICOM CR, DX, XA and secondary-capture radiographs: pixels as displayed, and every geometric fact of the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from bonelift.errors import InputError
from bonelift.images.dicom_file import guarded, length_mm, read_dataset, whole_number, word
from bonelift.images.dicom_pixels import StoredPixels, stored_pixels
from bonelift.images.patient_age import not_grown_up
from bonelift.images.pixel_spacing import dicom_spacing
from bonelift.images.radiograph import Side, View
from bonelift.images.raster import grey_from_colour
from bonelift.images.recorded_image import RecordedImage

_UID = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPH_CLASSES = {
    _UID + "1": "CR",
    _UID + "1.1": "DX",
    _UID + "1.1.1": "DX for processing",
    _UID + "12.1": "XA",
    _UID + "12.1.1": "enhanced XA",
    _UID + "12.2": "XRF",
    _UID + "12.2.1": "enhanced XRF",
    _UID + "7": "secondary capture",
    _UID + "7.2": "multi-frame secondary capture",
    _UID + "7.3": "multi-frame secondary capture",
    _UID + "7.4": "multi-frame secondary capture",
}
_OTHER_MODALITIES = {"CT", "MR", "PT", "NM", "US", "MG", "SEG", "OT3D", "RTSTRUCT", "RTDOSE", "SR", "PR", "KO"}
_OTHER_BODY_PARTS = {
    "ABDOMEN", "ANKLE", "BREAST", "CHEST", "CLAVICLE", "COCCYX", "CSPINE", "FEMUR", "FOOT", "HEAD", "HEART", "HIP",
    "JAW", "KNEE", "LEG", "LSPINE", "NECK", "PELVIS", "RIB", "SACRUM", "SHOULDER", "SKULL", "SPINE", "SSPINE",
    "STERNUM", "TIBIA", "TOE", "TSPINE", "UTERUS",
}  # fmt: skip
"""DICOM PS3.16, annex L: parts that no film of a wrist shows. An arm, an elbow or a hand may show one as well."""

_PA, _AP, _LATERAL, _OBLIQUE = "pa", "AP", "lateral", "oblique"
_VIEW_POSITIONS = {
    "PA": _PA,
    "AP": _AP,
    **dict.fromkeys(("LL", "RL", "LLD", "RLD", "LAT", "LATERAL", "ML", "LM"), _LATERAL),
    **dict.fromkeys(("RLO", "LLO", "OBL", "OBLIQUE"), _OBLIQUE),
}
# DICOM PS3.16 CID 4010 "DX View", SNOMED CT and the older SRT codes.
_VIEW_CODES = {
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), _PA),
    **dict.fromkeys(("399348003", "R-10206"), _AP),
    **dict.fromkeys(("399067008", "R-102CD", "399198007", "R-10232", "399173006", "R-10236"), _LATERAL),
    **dict.fromkeys(("399352003", "R-10228", "399260004", "R-10224"), _LATERAL),
    **dict.fromkeys(("399182000", "R-102C1", "399059000", "R-10216", "399312000", "R-10208"), _OBLIQUE),
    **dict.fromkeys(("399368009", "R-10226", "399099002", "R-10230", "260427002", "260426006"), _OBLIQUE),
}
_WINDOW_KEEPS = 0.1
"""A window that leaves less than this part of the pixels between its ends is a left-over, not a setting."""


def read_dicom_radiograph(path: Path, frame: int | None = None) -> RecordedImage:
    """Read one radiograph, or ``frame`` (counted from 1) of a multi-frame one. Raises InputError."""
    with guarded(path.name, "its header is damaged"):
        return _recorded(read_dataset(path), path, frame)


def _recorded(dataset: Dataset, path: Path, frame: int | None) -> RecordedImage:
    kind = _check_kind(dataset, path.name)
    index, frame_text = _frame_index(dataset, path.name, frame)
    stored = stored_pixels(dataset, path.name, index)
    pixels, display = _displayed(dataset, stored, path.name)
    spacing = dicom_spacing(dataset)
    side, side_origin = _side(dataset)
    view, view_origin = _view(dataset, path.name)
    bones_bright, polarity_origin = _polarity(dataset, stored.values, pixels)
    patient_under, age_origin = not_grown_up(dataset) or (None, "")
    provenance = {
        "file_format": f"DICOM {kind}",
        "display": display,
        "frame": frame_text,
        "pixel_spacing": spacing.origin,
        "magnification": spacing.magnification_origin,
        "side": side_origin,
        "view": view_origin,
        "polarity": polarity_origin,
        "patient_age": age_origin,
        "sdd": "DistanceSourceToDetector (0018,1110)",
        "source_to_object": "DistanceSourceToPatient (0018,1111)",
    }
    return RecordedImage(
        pixels,
        stored.padding,
        spacing.detector_mm,
        spacing.object_mm,
        spacing.magnification,
        length_mm(dataset, "DistanceSourceToDetector"),
        length_mm(dataset, "DistanceSourceToPatient"),
        side,
        view,
        bones_bright,
        spacing.missing,
        {fact: origin for fact, origin in provenance.items() if origin},
        patient_under,
    )


def _check_kind(dataset: Dataset, name: str) -> str:
    """What kind of radiograph it is; InputError for other images."""
    sop_class = dataset.get("SOPClassUID")
    modality = word(dataset, "Modality")
    kind = _RADIOGRAPH_CLASSES.get(str(sop_class))
    if kind is None and sop_class is None and modality in {"CR", "DX", "XA", "RF"}:
        kind = modality
    if kind is None or modality in _OTHER_MODALITIES:
        other = modality if modality.isalnum() else "unknown"
        what = getattr(sop_class, "name", "") if kind is None and sop_class is not None else ""
        raise InputError(
            f"{name}: is not a radiograph (modality {other:.16}{', ' if what else ''}{what:.64}); expected "
            "DICOM CR, DX or XA, PNG, JPEG or TIFF"
        )
    part = word(dataset, "BodyPartExamined")
    if part in _OTHER_BODY_PARTS:
        raise InputError(
            f"{name}: BodyPartExamined (0018,0015) says {part:.16}; expected a wrist (where the header is wrong, "
            "correct it or export the image as PNG)"
        )
    return kind


def _frame_index(dataset: Dataset, name: str, frame: int | None) -> tuple[int, str]:
    frames = whole_number(dataset, "NumberOfFrames") or 1
    if frames > 1 and frame is None:
        raise InputError(f"{name}: holds {frames} frames; pass --frame 1 to {frames}")
    if frame is not None and not 1 <= frame <= frames:
        raise InputError(f"{name}: has no frame {frame}; expected 1 to {frames}")
    return (0, "") if frame is None else (frame - 1, f"{frame} of {frames}")


def _displayed(dataset: Dataset, stored: StoredPixels, name: str) -> tuple[NDArray[np.float32], str]:
    """Grey levels as a viewer shows them (larger is brighter), and the steps taken."""
    values = stored.values
    if values.ndim == 3:
        if values.dtype != np.uint8 or values.shape[2] != 3:
            raise InputError(f"{name}: has {values.shape[2]} channels of {values.dtype}; expected a grey image")
        return grey_from_colour(values.astype(np.uint8), name), "8 bit colour that is grey in truth"
    photometric = word(dataset, "PhotometricInterpretation")
    if photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise InputError(
            f"{name}: PhotometricInterpretation (0028,0004) is {photometric!r:.18}; expected MONOCHROME1 or MONOCHROME2"
        )
    steps = [photometric]
    linear = _rescaled(dataset, values, name, steps)
    shown = _windowed(dataset, linear, stored.padding, name, steps)
    grey = np.asarray(shown, dtype=np.float32)
    if not np.isfinite(grey).all():
        raise InputError(f"{name}: holds NaN or infinite pixels after its rescale or window")
    if photometric == "MONOCHROME1" or word(dataset, "PresentationLUTShape") == "INVERSE":
        grey = grey.max() - grey
    return grey, ", ".join(steps)


def _rescaled(dataset: Dataset, values: NDArray[np.number], name: str, steps: list[str]) -> NDArray[np.number]:
    """After the modality's lookup table, or slope and intercept; one that is empty or 0 is set aside."""
    if dataset.get("ModalityLUTSequence"):
        with guarded(name, "its modality lookup table is damaged"):
            return apply_modality_lut(values, dataset)
    if "RescaleSlope" not in dataset and "RescaleIntercept" not in dataset:
        return values
    slope, intercept = length_mm(dataset, "RescaleSlope"), length_mm(dataset, "RescaleIntercept")
    if not slope or intercept is None:
        steps.append("rescale (0028,1052 and 1053) set aside: empty or 0")
        return values
    return values.astype(np.float64) * slope + intercept


def _windowed(
    dataset: Dataset, linear: NDArray[np.number], padding: NDArray[np.bool_] | None, name: str, steps: list[str]
) -> NDArray[np.number]:
    """After the VOI lookup table or window; one that cannot be, or that hides the image, is set aside."""
    table = bool(dataset.get("VOILUTSequence"))
    if not table:
        if "WindowWidth" not in dataset and "WindowCenter" not in dataset:
            return linear
        width = _first_number(dataset, "WindowWidth")
        least = 1.0 if word(dataset, "VOILUTFunction") in {"", "LINEAR"} else 1e-6
        if width is None or width < least or _first_number(dataset, "WindowCenter") is None:
            steps.append("window (0028,1050 and 1051) set aside: empty, 0 or negative")
            return linear
    with guarded(name, "its VOI lookup table is damaged"):
        shown = apply_voi_lut(linear, dataset, index=0)
    if _clipped_away(np.asarray(shown, dtype=np.float64), padding):
        steps.append("window ignored: it hides the image")
        return linear
    steps.append("VOI lookup table" if table else "VOI window")
    return shown


def _first_number(dataset: Dataset, keyword: str) -> float | None:
    """The element's first value as a finite number, else None."""
    value: Any = dataset.get(keyword)
    try:
        number = float(value[0] if isinstance(value, MultiValue) else value)
    except (TypeError, ValueError, LookupError):
        return None
    return number if np.isfinite(number) else None


def _clipped_away(shown: NDArray[np.float64], padding: NDArray[np.bool_] | None) -> bool:
    levels = shown if padding is None else shown[~padding]
    if levels.size == 0 or np.ptp(levels) == 0:
        return True
    low, high = levels.min(), levels.max()
    return float(((levels > low) & (levels < high)).mean()) < _WINDOW_KEEPS


def _polarity(dataset: Dataset, stored: NDArray[np.number], displayed: NDArray[np.float32]) -> tuple[bool | None, str]:
    """Whether bones are bright in ``displayed``, by the header.

    PixelIntensityRelationshipSign (0028,1041) states it of the stored values; -1: more X-rays, smaller value. Without
    it CR and DX are displayed with bright bones (MONOCHROME1 undone); XA and captures may be either.
    """
    sign = whole_number(dataset, "PixelIntensityRelationshipSign")
    if sign in (-1, 1) and stored.ndim == 2 and float(np.ptp(stored.astype(np.float64))) > 0:
        step = max(1, int(np.sqrt(stored.size / 250_000)))
        few, shown = stored[::step, ::step].astype(np.float64), displayed[::step, ::step].astype(np.float64)
        kept = bool(((few - few.mean()) * (shown - shown.mean())).sum() > 0)
        return (sign == -1) == kept, "PixelIntensityRelationshipSign (0028,1041)"
    kind = _RADIOGRAPH_CLASSES.get(str(dataset.get("SOPClassUID")), word(dataset, "Modality"))
    if kind in {"CR", "DX"} and stored.ndim == 2:
        return True, "PhotometricInterpretation (0028,0004)"
    return None, ""


def _side(dataset: Dataset) -> tuple[Side | None, str]:
    for keyword, tag in (("ImageLaterality", "(0020,0062)"), ("Laterality", "(0020,0060)")):
        letter = word(dataset, keyword)[:1]
        if letter in {"L", "R"}:
            return ("left" if letter == "L" else "right"), f"{keyword} {tag}"
    return None, ""


def _view(dataset: Dataset, name: str) -> tuple[View | None, str]:
    """PA or lateral; None where the header does not say; InputError for a view this package does not read."""
    view, origin = _VIEW_POSITIONS.get(word(dataset, "ViewPosition")), "ViewPosition (0018,5101)"
    if view is None:
        codes = dataset.get("ViewCodeSequence") or []
        try:
            view = next((_VIEW_CODES[word(c, "CodeValue")] for c in codes if word(c, "CodeValue") in _VIEW_CODES), None)
        except (TypeError, AttributeError):
            view = None
        origin = "ViewCodeSequence (0054,0220)"
    if view in (_AP, _OBLIQUE):
        raise InputError(
            f"{name}: {origin} says {view}; expected a PA or lateral film (where the header is wrong, correct it or "
            "export the image as PNG)"
        )
    return ("pa" if view == _PA else "lateral" if view == _LATERAL else None), (origin if view else "")
