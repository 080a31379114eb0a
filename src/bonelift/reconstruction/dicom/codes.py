"""Codes and names that the DICOM results share. SNOMED CT, DCM and UCUM; own measurements by a private scheme."""

from __future__ import annotations

from highdicom import AlgorithmIdentificationSequence
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from bonelift import __version__
from bonelift.images.radiograph import Side

MANUFACTURER = "bonelift"
MODEL = "bonelift, research software, not a medical device"
SERIAL = "none"
BONES = {"radius": CodedConcept("62413002", "SCT", "Radius"), "ulna": CodedConcept("23416004", "SCT", "Ulna")}
SIDES: dict[Side, CodedConcept] = {
    "left": CodedConcept("7771000", "SCT", "Left"),
    "right": CodedConcept("24028007", "SCT", "Right"),
}
WRIST = CodedConcept("74670003", "SCT", "Wrist joint")
UNITS = {
    "mm": CodedConcept("mm", "UCUM", "millimeter"),
    "deg": CodedConcept("deg", "UCUM", "degree"),
}


def algorithm() -> AlgorithmIdentificationSequence:
    return AlgorithmIdentificationSequence(
        name="bonelift", version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
