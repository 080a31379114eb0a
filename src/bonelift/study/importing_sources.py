"""What ``bonelift import`` is told of one wrist of a lab, by options or by a row of a table (study.importing_table)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from bonelift.errors import InputError
from bonelift.images import Side, View
from bonelift.images.bone_labels import BoneLabels
from bonelift.images.reading import Invert
from bonelift.study.case_names import check_name


@dataclass(frozen=True)
class RadiographSource:
    """One X-ray of a lab; None: the file's header says it, or a default that is recorded (images.reading).

    line: of the table that says it, for messages; None without a table.
    """

    file: Path
    view: View | None = None
    pixel_spacing_mm: float | None = None
    sdd_mm: float | None = None
    source_to_object_mm: float | None = None
    camera: Path | None = None
    pose: Path | None = None
    frame: int | None = None
    invert: Invert = "auto"
    mask: Path | None = None
    line: int | None = None

    def without_places(self) -> RadiographSource:
        """The same with no path and no line: what is said of the film, wherever its files lie."""
        return replace(self, file=Path(), camera=None, pose=None, mask=None, line=None)


@dataclass(frozen=True)
class CaseSource:
    """One wrist of a lab. landmarks: None where they are to be found automatically. line: as of a radiograph.

    Raises InputError for names that are no plain file names, and for another side than left or right.
    """

    case: str
    patient: str
    side: Side
    ct: Path
    labels: Path
    landmarks: Path | None = None
    radiographs: tuple[RadiographSource, ...] = ()
    ct_series: int | None = None
    bones: BoneLabels = field(default_factory=BoneLabels)
    styloid_label: str | None = None
    notch_label: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        check_name("case", self.case)
        check_name("patient", self.patient)
        if self.side not in get_args(Side):
            raise InputError(f"case {self.case}: side is {self.side!r:.20}; expected left or right")

    def without_places(self) -> CaseSource:
        """The same with no path, no film and no line."""
        return replace(self, ct=Path(), labels=Path(), landmarks=None, radiographs=(), line=None)
