"""The frame in which files are written: LPS of a patient who stands with hanging arms, palms forward.

x runs to the patient's left, y to the back, z to the head: distal is inferior, palmar anterior, radial lateral on the
patient's own side. DICOM, NIfTI (by its RAS), NRRD and 3D Slicer letter directions by these axes. The origin is that of
the radius frame, where the shaft axis meets the distal joint surface; it is no place in the room of a scanner.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

PATIENT_FROM_OWN_SIDE: Float = np.diag([1.0, -1.0, -1.0, 1.0])
"""(4, 4) rotation, its own inverse, from the radius frame of the patient's own side to the patient frame. There +z is
distal, +y palmar and +x ulnar on a right wrist, radial on a left one: to the patient's left on both."""
PATIENT_FROM_OWN_SIDE.setflags(write=False)

GLTF_FROM_PATIENT: Float = np.array([[1e-3, 0, 0, 0], [0, 0, -1e-3, 0], [0, 1e-3, 0, 0], [0, 0, 0, 1.0]])
"""(4, 4) similarity from the patient frame (mm) to glTF's axes (m): +Y up is distal, +Z to the viewer is dorsal. So the
bones first show as a PA film hangs: fingers up, seen from the back of the hand."""
GLTF_FROM_PATIENT.setflags(write=False)

PATIENT_FRAME_NOTE = (
    "LPS, mm, of the patient in the anatomical position (arm hanging, palm forward): x to the patient's left, y to the "
    "back, z to the head; so distal is inferior, palmar is anterior and radial is lateral; the origin is where the "
    "radial shaft axis meets the distal joint surface"
)
"""For files that hold words."""


def patient_from_radius(side: Literal["left", "right"]) -> Float:
    """(4, 4) from the radius frame of a right wrist, in which bones are computed, to the patient frame of a wrist.

    A rotation for a right wrist. For a left one it holds the mirror x -> -x as well (determinant -1), so a surface that
    is moved by it needs its triangles reversed, as ``TriangleMesh.transformed`` does.
    """
    own_side_from_radius = np.diag([-1.0 if side == "left" else 1.0, 1.0, 1.0, 1.0])
    return PATIENT_FROM_OWN_SIDE @ own_side_from_radius
