"""DICOM CR, DX, XA and secondary-capture radiographs: pixels as displayed, and every geometric fact of the header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from bonelift.errors import InputError
from bonelift.images.dicom_file import decode_frame, guarded, length_mm, read_dataset, whole_number, word
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
    stored = decode_frame(dataset, path.name, index)
    pixels, padding, display = _displayed(dataset, stored, path.name)
    spacing = dicom_spacing(dataset)
    side, side_origin = _side(dataset)
    view, view_origin = _view(dataset, path.name)
    bones_bright, polarity_origin = _polarity(dataset, stored, pixels)
    provenance = {
        "file_format": f"DICOM {kind}",
        "display": display,
        "frame": frame_text,
        "pixel_spacing": spacing.origin,
        "magnification": spacing.magnification_origin,
        "side": side_origin,
        "view": view_origin,
        "polarity": polarity_origin,
        "sdd": "DistanceSourceToDetector (0018,1110)",
        "source_to_object": "DistanceSourceToPatient (0018,1111)",
    }
    return RecordedImage(
        pixels,
        padding,
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
    return kind


def _frame_index(dataset: Dataset, name: str, frame: int | None) -> tuple[int, str]:
    frames = whole_number(dataset, "NumberOfFrames") or 1
    if frames > 1 and frame is None:
        raise InputError(f"{name}: holds {frames} frames; pass --frame 1 to {frames}")
    if frame is not None and not 1 <= frame <= frames:
        raise InputError(f"{name}: has no frame {frame}; expected 1 to {frames}")
    return (0, "") if frame is None else (frame - 1, f"{frame} of {frames}")


def _displayed(
    dataset: Dataset, stored: NDArray[np.number], name: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None, str]:
    """Grey levels as a viewer shows them (larger is brighter), pixels marked as padding, and the steps taken."""
    if stored.ndim == 3:
        if stored.dtype != np.uint8 or stored.shape[2] != 3:
            raise InputError(f"{name}: has {stored.shape[2]} channels of {stored.dtype}; expected a grey image")
        return grey_from_colour(stored.astype(np.uint8), name), None, "8 bit colour that is grey in truth"
    photometric = word(dataset, "PhotometricInterpretation")
    if photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        raise InputError(
            f"{name}: PhotometricInterpretation (0028,0004) is {photometric:.16}; expected MONOCHROME1 or MONOCHROME2"
        )
    padding = _padding(dataset, stored)
    steps = [photometric]
    with guarded(name, "its modality or VOI lookup table is damaged"):
        linear = apply_modality_lut(stored, dataset)
        shown = apply_voi_lut(linear, dataset, index=0)
    if shown is not linear:
        if _clipped_away(np.asarray(shown, dtype=np.float64), padding):
            shown = linear
            steps.append("window ignored: it hides the image")
        else:
            steps.append("VOI lookup table" if dataset.get("VOILUTSequence") else "VOI window")
    grey = np.asarray(shown, dtype=np.float32)
    if not np.isfinite(grey).all():
        raise InputError(f"{name}: holds NaN or infinite pixels after its rescale or window")
    if photometric == "MONOCHROME1" or word(dataset, "PresentationLUTShape") == "INVERSE":
        grey = grey.max() - grey
    return grey, padding, ", ".join(steps)


def _clipped_away(shown: NDArray[np.float64], padding: NDArray[np.bool_] | None) -> bool:
    levels = shown if padding is None else shown[~padding]
    if levels.size == 0 or np.ptp(levels) == 0:
        return True
    low, high = levels.min(), levels.max()
    return float(((levels > low) & (levels < high)).mean()) < _WINDOW_KEEPS


def _padding(dataset: Dataset, stored: NDArray[np.number]) -> NDArray[np.bool_] | None:
    """Pixels at PixelPaddingValue (0028,0120), or between it and PixelPaddingRangeLimit (0028,0121)."""
    value = whole_number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = whole_number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    levels = stored.astype(np.int64)
    padding = (levels >= low) & (levels <= high)
    return padding if padding.any() and not padding.all() else None


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
