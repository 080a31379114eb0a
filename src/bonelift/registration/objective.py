"""The cost that registration minimises: one minus the similarity, plus what a prior on the pose charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.gradients import project_with_pose_gradient
from bonelift.geometry import XrayCamera
from bonelift.registration.chart import PoseChart, twist_in_camera
from bonelift.registration.features import ResidualSimilarity, channels, channels_with_derivative
from bonelift.registration.film_response import LINE_INTEGRALS, FilmResponse
from bonelift.registration.similarity import Similarity, patch_gradient_correlation, smooth, standardise
from bonelift.registration.views import FixedView, MovingBone, background, coarser, project_bone

Float = NDArray[np.float64]


@dataclass(frozen=True)
class PosePrior:
    """A weak Gaussian prior about parameters 0 of a chart.

    sigma: (6,) rad and mm, in the chart's directions. One sigma in one direction costs ``cost_of_sigma`` of
    similarity: enough to settle what the image leaves open (depth, and the tilt that goes with it), too little to
    move what the image shows.
    """

    sigma: Float
    cost_of_sigma: float

    def cost(self, parameters: Float) -> Float:
        """(..., 6) -> (...)."""
        return self.cost_of_sigma * ((parameters / self.sigma) ** 2).sum(axis=-1)

    def residuals(self, parameters: Float) -> Float:
        """(6,): their squares sum to :meth:`cost`."""
        return np.sqrt(self.cost_of_sigma) * parameters / self.sigma

    @property
    def jacobian(self) -> Float:
        """(6, 6) derivative of :meth:`residuals`."""
        return np.diag(np.sqrt(self.cost_of_sigma) / self.sigma)


@dataclass(frozen=True)
class Objective:
    """One bone against all views at one resolution.

    views: already coarser and smoothed. still: (rows, columns) for each view, what other bones add to the projection.
    sigma_px: smoothing of the moving image, the same as the fixed one got. kind: the similarity of the residuals.
    response: what the images show of a projection.
    """

    bone: MovingBone
    views: tuple[FixedView, ...]
    still: tuple[Float, ...]
    sigma_px: float
    kind: ResidualSimilarity = "gradient_correlation"
    response: FilmResponse = LINE_INTEGRALS
    _fixed: dict[tuple[int, str], Float] = field(default_factory=dict, repr=False, compare=False)

    def moving(self, index: int, world_from_bone: Float) -> Float:
        """(N, rows, columns) in view ``index`` for poses (N, 4, 4)."""
        projection = project_bone(self.bone, self.views[index].camera, world_from_bone)
        return smooth(self.response.shown(projection + self.still[index]), self.sigma_px)

    def similarity(self, world_from_bone: Float, kind: Similarity) -> Float:
        """(V, N) similarity of each view for poses (N, 4, 4)."""
        scores = []
        for index, view in enumerate(self.views):
            moving = self.moving(index, world_from_bone)
            if kind == "patch_gradient_correlation":
                scores.append(patch_gradient_correlation(view.image, moving, view.weights))
                continue
            weights, fixed = view.pixel_weights, self.fixed_channels(index, kind)
            products = fixed * standardise(channels(kind, moving, weights), weights)
            scores.append(products.sum(axis=(-3, -2, -1)) / len(fixed))
        return np.stack(scores)

    def fixed_channels(self, index: int, kind: ResidualSimilarity) -> Float:
        """(F, rows, columns) standardised channels of the image of view ``index``, computed once."""
        if (index, kind) not in self._fixed:
            view = self.views[index]
            fixed = channels(kind, view.image, view.pixel_weights)
            self._fixed[index, kind] = standardise(fixed, view.pixel_weights)
        return self._fixed[index, kind]

    def residuals(self, chart: PoseChart) -> tuple[Float, Float]:
        """(M,) and (M, 6): at parameters 0 the squares sum to 1 - similarity of ``kind`` (mean over views)."""
        parts = [_view_residuals(self, index, chart) for index in range(len(self.views))]
        share = 1 / np.sqrt(2 * len(self.views))
        return share * np.concatenate([r for r, _ in parts]), share * np.concatenate([j for _, j in parts])


def objective(
    bone: MovingBone,
    views: Sequence[FixedView],
    factor: int,
    sigma_px: float,
    others: Sequence[tuple[MovingBone, Float]] = (),
    kind: Similarity = "gradient_correlation",
    response: FilmResponse = LINE_INTEGRALS,
) -> Objective:
    """``views`` at 1 / ``factor`` of their resolution; ``others`` (bone, world_from_bone) are held still.

    kind: of the residuals; the patch variant has none, plain gradient correlation stands in for it.
    response: what the images show of a projection.
    """
    pyramid = tuple(coarser(view, factor, sigma_px) for view in views)
    still = tuple(background(others, view.camera) for view in pyramid)
    residual_kind = "gradient_correlation" if kind == "patch_gradient_correlation" else kind
    return Objective(bone, pyramid, still, sigma_px, residual_kind, response)


def _view_residuals(problem: Objective, index: int, chart: PoseChart) -> tuple[Float, Float]:
    view = problem.views[index]
    projection, derivatives = _pose_derivatives(problem.bone, view.camera, chart)
    projection = projection + problem.still[index]
    image = smooth(problem.response.shown(projection), problem.sigma_px)
    image_change = smooth(problem.response.slope(projection) * derivatives, problem.sigma_px)
    fixed_unit = problem.fixed_channels(index, problem.kind)
    return channel_residuals(problem.kind, fixed_unit, image, image_change, view.pixel_weights)


def channel_residuals(
    kind: ResidualSimilarity, fixed_unit: Float, image: Float, change: Float, weights: Float
) -> tuple[Float, Float]:
    """(M,) residuals of a moving image whose squares sum to 2 (1 - similarity), and (M, P) their derivatives.

    fixed_unit: (F, rows, columns) standardised channels of the fixed image. image: (rows, columns), smoothed like it;
    change: (P, rows, columns) its derivatives.
    """
    moving, change = channels_with_derivative(kind, image, change, weights)  # change: (P, F, rows, columns)
    moving_unit = standardise(moving, weights)
    root = np.sqrt(weights)
    mean = (moving * weights).sum(axis=(-2, -1), keepdims=True) / weights.sum()
    length = np.sqrt((((moving - mean) * root) ** 2).sum(axis=(-2, -1), keepdims=True))
    change = (change - (change * weights).sum(axis=(-2, -1), keepdims=True) / weights.sum()) * root
    # Derivative of a vector divided by its own length: what is parallel to the vector drops out.
    change = change - moving_unit * (change * moving_unit).sum(axis=(-2, -1), keepdims=True)
    change = np.where(length > 0, change / np.maximum(length, 1e-12), 0.0)
    share = 1 / np.sqrt(len(moving))
    return share * (fixed_unit - moving_unit).ravel(), -share * change.reshape(len(change), -1).T


def _pose_derivatives(bone: MovingBone, camera: XrayCamera, chart: PoseChart) -> tuple[Float, Float]:
    """(rows, columns) projection at parameters 0 and (6, rows, columns) its derivatives by the chart's parameters."""
    camera_from_voxel = camera.camera_from_world @ chart.world_from_start @ bone.bone_from_voxel
    images, by_twist = project_with_pose_gradient(
        bone.volume, camera.image_from_camera, camera_from_voxel, camera.shape_px
    )
    by_parameter = by_twist[0] @ twist_in_camera(chart, camera).astype(np.float32)
    return images[0].astype(np.float64), np.moveaxis(by_parameter, -1, 0).astype(np.float64)
