"""Which files of a result are wanted, checked before the work begins."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from bonelift.errors import InputError
from bonelift.extras import missing
from bonelift.images.dicom_file import HEAD_BYTES, is_dicom
from bonelift.reconstruction.file_kinds import DEFAULT_KINDS, FileKind, Identity
from bonelift.storage.input_files import read_head, shown_name


@dataclass(frozen=True)
class OutputFiles:
    """What :func:`bonelift.reconstruction.save.save` writes.

    sources: the image files, in order; for kind "dicom", whose files refer to them.
    identity: what those say of the patient: "none" nothing, with new UIDs; "source" what the image files say.
    Raises InputError where "dicom" is asked for and an image is no DICOM file, or highdicom is not installed.
    """

    kinds: tuple[FileKind, ...] = DEFAULT_KINDS
    sources: tuple[Path, ...] = ()
    identity: Identity = "none"

    def __post_init__(self) -> None:
        if "dicom" not in self.kinds:
            return
        for path in self.sources:
            if not is_dicom(read_head(path, "an image", HEAD_BYTES)):
                raise InputError(
                    f"{shown_name(path)}: is no DICOM file, and DICOM results refer to the DICOM image they come from; "
                    "leave dicom out of --files"
                )
        if not self.sources:
            raise InputError("--files dicom: there is no DICOM image to refer to; leave dicom out")
        if importlib.util.find_spec("highdicom") is None:
            raise missing("highdicom", "--files dicom")
