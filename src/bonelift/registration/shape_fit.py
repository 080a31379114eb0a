"""Model bones fitted to radiographs: the shape of radius and ulna and their pose at once, in calibrated films.

A rigid registration takes the bone as given. Where it is only a model's guess, its shape is wrong by a millimetre, and
the views of two cameras cannot both be met. Here a wrist in modes of a population (anatomy.shape_basis) is posed and
deformed until its projections match the films: nominal density inside (:mod:`nominal_bone`), edges evened out in
strength as for CT bones (:mod:`films`), Levenberg-Marquardt with the projector's own pose gradient, and for the modes
with projections of what the volume changes where its surface moves. A mode is charged by its size in SD.

Sources: Baka et al. 2011, doi:10.1016/j.media.2011.04.001 (shape model to two X-rays, edges, charge by SD); Ehlke et
al. 2013, doi:10.1109/TVCG.2013.159 (the same by projected density).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis
from bonelift.drr.gradients import project_with_pose_gradient
from bonelift.drr.joseph import project
from bonelift.drr.ray_volume import RayVolume, prepare
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, apply_transform, translation
from bonelift.images.volume import BONES
from bonelift.registration.chart import PoseChart, pose_chart, twist_in_camera
from bonelift.registration.ct_bone import CutEnd
from bonelift.registration.features import channels
from bonelift.registration.film_views import SHADOW, away_from_cuts, cut_to, dilated
from bonelift.registration.nominal_bone import NominalSolid, nominal_solid
from bonelift.registration.objective import PosePrior, channel_residuals
from bonelift.registration.refine import FLAT_STEP, levenberg_marquardt
from bonelift.registration.similarity import smooth, standardise
from bonelift.registration.views import FixedView, coarser
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

_KIND = "local_gradient_correlation"
_CENTRE_MM = np.array([8.0, 0.0, -20.0])
"""Between both bones: the wrist turns about it."""
_VOLUME_MM, _COMPARED_MM = 52.0, 44.0
"""The bones are projected so far proximal of the joint, and compared so far: the modes know no more of the shaft."""
_VOXEL_MM = 0.6
_FLAT_SHAPE = 0.01
_LEAST_GAIN = 2e-4


@dataclass(frozen=True)
class FitStage:
    """level_mm: pixel side at the bone. margin_mm: how far around the bones' shadow images are compared. modes: of each
    bone, from the first on, that are fitted; the pose, and the ulna's place beside the radius, always are."""

    level_mm: float
    margin_mm: float
    modes: int
    iterations: int


@dataclass(frozen=True)
class ShapeFitSettings:
    """stages: one after the other; where images are compared follows the bones from stage to stage.
    pose_sigma, cost_of_pose_sigma: the weak prior about the start (:class:`PosePrior`; rad, mm).
    cost_of_sd: what one SD of a mode, or of the ulna's place beside the radius, costs in similarity.
    smoothing_px: Gaussian on both images, px of the shrunk image.
    """

    stages: tuple[FitStage, ...] = (FitStage(0.5, 6.0, 20, 8), FitStage(0.5, 2.5, 20, 6))
    pose_sigma: tuple[float, ...] = (0.3, 0.3, 0.3, 12.0, 12.0, 25.0)
    cost_of_pose_sigma: float = 0.0002
    cost_of_sd: float = 0.001
    smoothing_px: float = 0.7


@dataclass(frozen=True, eq=False)
class ShapedWrist:
    """Right bones, posed. world_from_radius: (4, 4) rigid. codes: "radius", "ulna" -> (length,) of their bases."""

    world_from_radius: Float
    codes: Mapping[str, Float]


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """wrist: what was found. surfaces: name -> mesh in the radius frame, mm. similarity_per_view: at the last stage;
    start_similarity_per_view: of the start, there, too. evaluations: projections of all views. at_rest: no step left.
    """

    wrist: ShapedWrist
    surfaces: Mapping[str, TriangleMesh]
    similarity_per_view: tuple[float, ...]
    start_similarity_per_view: tuple[float, ...]
    evaluations: int
    at_rest: bool


def fit_shape(
    bases: Mapping[str, BoneBasis],
    views: Sequence[FixedView],
    start: ShapedWrist,
    settings: ShapeFitSettings | None = None,
) -> ShapeFit:
    """Deform and move the bones until their projections match the images.

    bases: "radius" and "ulna", of right bones.
    views: radiographs, bone bright, whose cameras share the world of the start's pose; of a left wrist mirrored
        beforehand, as everywhere. Their weights say where the image may be compared; the bones' surroundings follow.
    start: within some millimetres and degrees, as rigid registration leaves it; its modes beyond those of the stages
        stay as they are.
    Two views or more: one tells too little of the shape (on five virtual patients the radius was off by 0.34 mm after
        rigid alignment before, and by 0.34 to 0.36 after).
    Errors: InputError without a view or a stage, or where the start puts the bones outside an image.
    """
    settings = settings or ShapeFitSettings()
    if not views or not settings.stages:
        raise InputError("shape fit: no radiograph or no stage given; expected at least one of each")
    chart = pose_chart(views[0].camera, start.world_from_radius, _CENTRE_MM)
    wrist, evaluations, at_rest = start, 0, False
    problem = None
    for stage in settings.stages:
        near = compared(bases, views, wrist, stage.margin_mm)
        shown = tuple(_shrunk(view, wrist, stage, settings) for view in near)
        problem = _Problem(bases, shown, chart, settings, stage.modes)
        flat = np.concatenate([FLAT_STEP, np.full(problem.shape_numbers, _FLAT_SHAPE)])
        end = levenberg_marquardt(problem.linearised, problem.moved, wrist, flat, stage.iterations, _LEAST_GAIN)
        wrist, evaluations, at_rest = end.state, evaluations + end.evaluations, end.at_rest
    assert problem is not None
    surfaces = {name: bases[name].decode(wrist.codes[name]) for name in BONES}
    return ShapeFit(wrist, surfaces, problem.similarities(wrist), problem.similarities(start), evaluations, at_rest)


@dataclass(frozen=True, eq=False)
class _Solid:
    """One bone of a wrist, in the pose of its basis' reference: attenuation, and its change by each free mode."""

    volume: RayVolume
    by_mode: RayVolume
    bone_from_voxel: Float


@dataclass(frozen=True, eq=False)
class _Problem:
    """Residuals of a wrist in shrunk, smoothed views."""

    bases: Mapping[str, BoneBasis]
    views: tuple[FixedView, ...]
    chart: PoseChart
    settings: ShapeFitSettings
    modes: int
    _fixed: list[Float] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._fixed.extend(
            standardise(channels(_KIND, view.image, view.pixel_weights), view.pixel_weights) for view in self.views
        )

    @property
    def shape_numbers(self) -> int:
        """Free numbers beside the pose: modes of the radius, of the ulna, and the ulna's placement."""
        return 2 * self.modes + PLACEMENT

    def moved(self, wrist: ShapedWrist, step: Float) -> ShapedWrist:
        """A wrist after a step (6 + shape_numbers,): pose in the chart's directions, then modes and placement in SD."""
        modes = self.modes
        here = self.chart.recentred(wrist.world_from_radius)
        codes = {name: np.array(code, dtype=np.float64) for name, code in wrist.codes.items()}
        codes["radius"][:modes] += step[6 : 6 + modes]
        codes["ulna"][:modes] += step[6 + modes : 6 + 2 * modes]
        codes["ulna"][-PLACEMENT:] += step[-PLACEMENT:]
        return ShapedWrist(here.poses(step[None, :6])[0], codes)

    def linearised(self, wrist: ShapedWrist) -> tuple[Float, Float]:
        """(M,) residuals, their squares 1 - similarity (mean over views) and the prior; (M, P) by a step of moved."""
        here, sigma = self.chart.recentred(wrist.world_from_radius), self.settings.smoothing_px

        def of_view(view: FixedView, fixed: Float) -> tuple[Float, Float]:
            image, change = self._projected(solids, wrist, here, view.camera)
            return channel_residuals(_KIND, fixed, smooth(image, sigma), smooth(change, sigma), view.pixel_weights)

        with ThreadPoolExecutor(2) as pool:  # the kernels release the interpreter lock
            made = pool.map(lambda name: _solid(self.bases[name], wrist.codes[name], self.modes), BONES)
            solids: dict[str, _Solid] = dict(zip(BONES, made, strict=True))
            parts = list(pool.map(of_view, self.views, self._fixed))
        share = 1 / np.sqrt(2 * len(self.views))
        residual = share * np.concatenate([part for part, _ in parts])
        jacobian = share * np.concatenate([part for _, part in parts])
        prior, prior_jacobian = self._prior(wrist)
        return np.concatenate([residual, prior]), np.concatenate([jacobian, prior_jacobian])

    def similarities(self, wrist: ShapedWrist) -> tuple[float, ...]:
        images = projections(self.bases, wrist, [view.camera for view in self.views])
        found = []
        for view, fixed, image in zip(self.views, self._fixed, images, strict=True):
            weights = view.pixel_weights
            moving = channels(_KIND, smooth(image, self.settings.smoothing_px), weights)
            found.append(float((fixed * standardise(moving, weights)).sum() / len(fixed)))
        return tuple(found)

    def _projected(
        self, solids: Mapping[str, _Solid], wrist: ShapedWrist, here: PoseChart, camera: XrayCamera
    ) -> tuple[Float, Float]:
        """(rows, columns) projection and (P, rows, columns) its derivatives by a step of :meth:`moved`."""
        image, by_pose, by_mode = np.zeros(camera.shape_px), np.zeros((6, *camera.shape_px)), []
        by_placement = np.zeros((PLACEMENT, *camera.shape_px))
        for name in BONES:
            solid, basis = solids[name], self.bases[name]
            placed = wrist.world_from_radius @ basis.radius_from_reference(wrist.codes[name])
            camera_from_voxel = camera.camera_from_world @ placed @ solid.bone_from_voxel
            rays = camera.image_from_camera, camera_from_voxel, camera.shape_px
            shadow, by_twist = project_with_pose_gradient(solid.volume, *rays)
            image += shadow[0]
            by_twist = by_twist[0].astype(np.float64)
            by_pose += np.moveaxis(by_twist @ twist_in_camera(here, camera), -1, 0)
            by_mode.append(project(solid.by_mode, *rays).astype(np.float64))
            if name == "ulna":
                # A small turn after the placement instead of one of its rotation vector: the same to first order.
                about = replace(here, world_from_view=wrist.world_from_radius @ translation(basis.centre_mm))
                by_placement = np.moveaxis(by_twist @ twist_in_camera(about, camera) * basis.placement_sd, -1, 0)
        return image, np.concatenate([by_pose, *by_mode, by_placement])

    def _prior(self, wrist: ShapedWrist) -> tuple[Float, Float]:
        settings = self.settings
        pose = PosePrior(np.asarray(settings.pose_sigma), settings.cost_of_pose_sigma)
        numbers = _free_numbers(wrist, self.modes)
        weight = np.sqrt(settings.cost_of_sd)
        residual = np.concatenate([pose.residuals(self.chart.parameters(wrist.world_from_radius)), weight * numbers])
        jacobian = np.zeros((len(residual), len(residual)))
        jacobian[:6, :6] = pose.jacobian
        jacobian[6:, 6:] = weight * np.eye(len(numbers))
        return residual, jacobian


def _free_numbers(wrist: ShapedWrist, modes: int) -> Float:
    """What is fitted of the codes: modes of the radius, modes and placement of the ulna."""
    radius, ulna = wrist.codes["radius"], wrist.codes["ulna"]
    return np.concatenate([radius[:modes], ulna[:modes], ulna[-PLACEMENT:]])


def _nominal(basis: BoneBasis, code: Float) -> NominalSolid:
    return nominal_solid(basis.shape(code), _VOLUME_MM, _VOXEL_MM)


def _solid(basis: BoneBasis, code: Float, modes: int) -> _Solid:
    """The bone, and by the surface's nearest vertex what each mode's outward move changes in it."""
    nominal, mesh = _nominal(basis, code), basis.shape(code)
    outward = np.einsum("kvx,vx->kv", basis.modes[:modes], mesh.vertex_normals)
    changing = np.argwhere(nominal.by_outward != 0)
    points = changing @ nominal.bone_from_voxel[:3, :3].T + nominal.bone_from_voxel[:3, 3]
    nearest = np.asarray(KDTree(mesh.vertices).query(points)[1])
    by_mode = np.zeros((modes, *nominal.values.shape), dtype=np.float32)
    i, j, k = changing.T
    by_mode[:, i, j, k] = nominal.by_outward[i, j, k] * outward[:, nearest]
    return _Solid(prepare(nominal.values[None]), prepare(by_mode), nominal.bone_from_voxel)


def projections(bases: Mapping[str, BoneBasis], wrist: ShapedWrist, cameras: Sequence[XrayCamera]) -> list[Float]:
    """(rows, columns) line integrals of both bones, for each camera."""
    images = [np.zeros(camera.shape_px) for camera in cameras]
    for name in BONES:
        nominal = _nominal(bases[name], wrist.codes[name])
        volume = prepare(nominal.values[None])
        placed = wrist.world_from_radius @ bases[name].radius_from_reference(wrist.codes[name])
        for image, camera in zip(images, cameras, strict=True):
            camera_from_voxel = camera.camera_from_world @ placed @ nominal.bone_from_voxel
            image += project(volume, camera.image_from_camera, camera_from_voxel, camera.shape_px)[0]
    return images


def compared(
    bases: Mapping[str, BoneBasis], views: Sequence[FixedView], wrist: ShapedWrist, margin_mm: float
) -> list[FixedView]:
    """The views with their weights 0 farther than ``margin_mm`` from the shadow of the bones, and beyond what the modes
    know of the shaft. Raises InputError where nothing is left of one."""
    images = projections(bases, wrist, [view.camera for view in views])
    return [_near(view, image > SHADOW, wrist, margin_mm) for view, image in zip(views, images, strict=True)]


def _near(view: FixedView, shadow: NDArray[np.bool_], wrist: ShapedWrist, margin_mm: float) -> FixedView:
    if not shadow.any():
        raise InputError("shape fit: the start puts the bones outside the image; give another start")
    camera = view.camera
    cut = CutEnd(np.array([_CENTRE_MM[0], 0, -_COMPARED_MM]), np.array([0, 0, 1.0]), _COMPARED_MM)
    near = dilated(shadow, margin_mm / _pixel_mm(camera, wrist))
    weights = view.pixel_weights * near * away_from_cuts([cut], camera, wrist.world_from_radius, 0.0)
    if not weights.any():
        raise InputError("shape fit: nothing of the bones lies where the image may be compared; give another start")
    return replace(view, weights=weights)


def _shrunk(view: FixedView, wrist: ShapedWrist, stage: FitStage, settings: ShapeFitSettings) -> FixedView:
    """The view at a stage's resolution, smoothed, cut to where its weights are not 0."""
    factor = max(1, round(stage.level_mm / _pixel_mm(view.camera, wrist)))
    return coarser(cut_to(view, view.pixel_weights > 0, factor), factor, settings.smoothing_px)


def _pixel_mm(camera: XrayCamera, wrist: ShapedWrist) -> float:
    """Side of a pixel at the depth of the wrist."""
    centre = apply_transform(camera.camera_from_world @ wrist.world_from_radius, _CENTRE_MM)
    return float(centre[2] / np.sqrt(abs(np.linalg.det(camera.image_from_camera[:2, :2]))))
