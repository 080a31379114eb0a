"""2D-3D registration: rigid poses of bones from one or several X-ray images, with a record of how far to trust them."""

from bonelift.registration.pose import PoseResult, PoseSettings, register
from bonelift.registration.views import FixedView, MovingBone, moving_bone, project_bone

__all__ = ["FixedView", "MovingBone", "PoseResult", "PoseSettings", "moving_bone", "project_bone", "register"]
