"""A case of a study as the networks take it: the CT in the radius frame, the radiographs with their poses."""

from __future__ import annotations

from pathlib import Path

from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph, normalise_case
from bonelift.images.markups import read_landmarks
from bonelift.images.volume_reading import read_ct, read_labels
from bonelift.study.folder import StudyCase, read_case_radiograph, read_pose


def read_study_case(study_folder: Path, case: StudyCase) -> tuple[NormalisedCase, list[PosedRadiograph]]:
    """The CT in the radius frame and the radiographs whose pose is known."""
    normalised = normalise_case(
        read_ct(study_folder / case.ct),
        read_labels(study_folder / case.labels),
        read_landmarks(study_folder / case.landmarks),
        case.side,
    )
    posed = []
    for entry in case.radiographs:
        if entry.pose_file is None:
            continue
        radiograph = read_case_radiograph(study_folder, case, entry)
        posed.append(PosedRadiograph(radiograph, read_pose(study_folder / entry.pose_file)))
    return normalised, posed
