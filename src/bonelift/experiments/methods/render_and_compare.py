"""The classical method: a statistical shape model rendered and compared with the image until they match.

The mean wrist of the training patients is registered to the bone-only image as one; then pose, the modes of both bones
and the ulna's place move together until its rendering is that of the image, each charged by its size in the population.
No network takes part. The camera is a nominal one, since an image on the standard film says no more.

Sources: Baka et al. 2011, doi:10.1016/j.media.2011.04.001; Ehlke et al. 2013, doi:10.1109/TVCG.2013.159.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.experiments.methods.nominal import nominal_film_camera, nominal_pose
from bonelift.experiments.own_methods import TrainingFold
from bonelift.images import LAPTOP_GRID
from bonelift.images.volume import BONES
from bonelift.learning.bases import BasisChoice, make_bases
from bonelift.learning.samples import SurfaceSamples, save_chunk
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.place import PlaceSettings
from bonelift.registration import FixedView, moving_bone, register
from bonelift.registration.image_fit import ImageFitSettings, fit_to_image
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.registration.shape_fit import ShapedWrist
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import soft_label

ROUNDS = 2
"""The second begins where the first ended: shapes of several SD are beyond one linearisation."""


def train_render_and_compare(fold: TrainingFold) -> RenderAndCompare:
    """Modes of the training patients' bones, or the packaged ones where they are too few; nothing else is learned."""
    surfaces = fold.folder / "surfaces"
    if not surfaces.is_dir():
        known = [case.load().points for case in fold.training]
        save_chunk(surfaces, 0, SurfaceSamples(*(np.stack([points[bone] for points in known]) for bone in BONES)))
    bases = make_bases(fold.folder / "basis", surfaces, BasisChoice(fold.preset.shape_modes))
    return RenderAndCompare(dict(zip(BONES, bases, strict=True)), fold.seed)


@dataclass(frozen=True)
class RenderAndCompare:
    """bases: of radius and ulna. seed: of the search for the pose."""

    bases: Mapping[str, BoneBasis]
    seed: int = 0

    def __call__(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """Bones of one bone-only image. Raises InputError for several images, or one that shows no bone."""
        codes = self.codes(images)
        return {name: clip_below(self.bases[name].decode(codes[name]), SHOWN_ABOVE_MM) for name in BONES}

    def codes(self, images: Sequence[WristImage]) -> Mapping[str, NDArray[np.float64]]:
        """Bone -> its modes and place, in the basis of that bone; see ``__call__``."""
        drr = images[0].drr if len(images) == 1 else None
        if drr is None:
            raise InputError(f"render and compare: {len(images)} images; expected one bone-only image")
        if not (drr > 0).any():
            raise InputError("render and compare: the image shows no bone")
        camera = nominal_film_camera()
        view = FixedView(np.asarray(drr, dtype=np.float64), camera)
        codes = {name: np.zeros(basis.length) for name, basis in self.bases.items()}
        mean = [soft_label(self.bases[name].decode(codes[name]), LAPTOP_GRID) for name in BONES]
        solid = moving_bone(*nominal_attenuation(np.maximum(*mean), LAPTOP_GRID))
        search = replace(PlaceSettings().wrist, starts_in_doubt=0)
        pose = register(solid, [view], nominal_pose(camera, images[0].view), search, seed=self.seed)
        wrist = ShapedWrist(pose.world_from_bone, codes)
        population = {name: np.ones(basis.length) for name, basis in self.bases.items()}
        for _ in range(ROUNDS):
            wrist = fit_to_image(self.bases, view, wrist, population, ImageFitSettings(iterations=12)).wrist
        return wrist.codes
