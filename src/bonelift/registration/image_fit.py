"""Predicted bones laid against one bone-only image: shape, place and inside at once, as far as the image says so.

From one view the outline tells width, and intensity tells thickness only as far as the inside is known. So nothing is
free: every number of the shape pays by how sure the network was of it, the pose pays tightly (shape is not to be traded
for a turn), and the bone's inside is fitted along with wide priors, its gain freely. Image and gradients are compared,
robustly (Geman and McClure 1985); Levenberg-Marquardt on surface elements (:mod:`bone_image`), about seven steps.

Sources: Baka et al. 2011, doi:10.1016/j.media.2011.04.001 (a shape's charge by SD); Ehlke et al. 2013,
doi:10.1109/TVCG.2013.159 (shape by projected density).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis
from bonelift.errors import InputError
from bonelift.geometry import (
    XrayCamera,
    apply_transform,
    compose,
    invert_rigid,
    rigid_from_vector,
    translation,
    vector_from_rigid,
)
from bonelift.images.volume import BONES
from bonelift.registration.bone_image import INSIDE, KNOTS_MM, PosedBone, bone_change, bone_elements, bone_image
from bonelift.registration.film_views import SHADOW, cropped, dilated, window_of
from bonelift.registration.shape_fit import ShapedWrist
from bonelift.registration.views import FixedView

Float = NDArray[np.float64]

_CENTRE_MM = np.array([8.0, 0.0, -20.0])
_COMPARED_ABOVE_MM = -40.0
_RAMP_PX = 4.0
_INSIDE_LENGTH_MM = 10.0
_DAMPING_TRIES = 4
_REST = 1e-3
"""Relative gain of a step below which the fit is at rest."""


@dataclass(frozen=True)
class ImageFitSettings:
    """level_sd, edge_sd: expected misfit of the image, and of its gradient per pixel, as a share of its bright level.
    correlated: so many values count as one observation, for what the model of the inside misses is smooth.
    robust: misfits of so many SD count half.
    pose_sd: turns (rad) and shifts (mm) about the start, camera axes; depth last.
    gain_sd, density_sd, spongiosa_sd, wall_sd: logarithm of the gain of the image; then along the bone, of density
        (logarithm), spongiosa (share of the cortex), wall (logarithm).
    sigma_px: blur of the image. margin_px: compared so far around the bones at the start. share: of the step from the
        prediction to the fit that is taken.
    """

    level_sd: float = 0.25
    edge_sd: float = 0.04
    correlated: float = 150.0
    robust: float = 3.0
    pose_sd: tuple[float, ...] = (0.06, 0.06, 0.05, 4.0, 4.0, 12.0)
    gain_sd: float = 2.0
    density_sd: float = 0.25
    spongiosa_sd: float = 0.12
    wall_sd: float = 0.45
    sigma_px: float = 1.2
    margin_px: int = 6
    iterations: int = 8
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class ImageFit:
    """wrist: what was found. misfit, start_misfit: cost of the image at the end and at the start with only the gain
    fitted; charge: what the prior charges at the end. All are squared SDs. at_rest: no step left."""

    wrist: ShapedWrist
    start_misfit: float
    misfit: float
    charge: float
    at_rest: bool


def fit_to_image(
    bases: Mapping[str, BoneBasis],
    view: FixedView,
    start: ShapedWrist,
    code_sd: Mapping[str, NDArray[np.floating]],
    settings: ImageFitSettings | None = None,
) -> ImageFit:
    """Move and deform the bones until their image is that of ``view``, as far as their codes' SDs let them.

    view: line integrals of both bones alone at any gain, background 0. start: posed by registration, and predicted.
    code_sd: "radius", "ulna" -> (length,) expected error of each number; the radius' own placement stays.
    Raises InputError where the start puts the bones outside the image.
    """
    problem = _Problem(bases, view, start, code_sd, settings or ImageFitSettings())
    state, cost = problem.start, problem.cost(problem.start)
    first, damping, at_rest = cost, 1e-3, False
    for _ in range(problem.settings.iterations):
        normal, slope = problem.normal_equations(state)
        for _ in range(_DAMPING_TRIES):
            damped = normal + damping * np.diag(np.diag(normal))
            tried = problem.moved(state, cho_solve(cho_factor(damped), slope))
            tried_cost = problem.cost(tried)
            if sum(tried_cost) < sum(cost):
                break
            damping *= 10
        else:
            at_rest = True
            break
        gain = sum(cost) - sum(tried_cost)
        state, cost, damping = tried, tried_cost, damping / 5
        if gain < _REST * sum(cost):
            at_rest = True
            break
    codes = {
        name: start.codes[name] + problem.settings.share * (state.codes[name] - start.codes[name]) for name in BONES
    }
    world_from_radius = invert_rigid(view.camera.camera_from_world) @ state.camera_from_radius
    return ImageFit(ShapedWrist(world_from_radius, codes), first[0], cost[0], cost[1], at_rest)


@dataclass(frozen=True, eq=False)
class _State:
    camera_from_radius: Float
    codes: Mapping[str, Float]
    inside: Mapping[str, Float]


class _Problem:
    """Residuals and prior of a wrist in one view.

    Numbers, in order: pose (6), radius (modes), ulna (modes and placement), inside of the radius, of the ulna.
    """

    def __init__(
        self,
        bases: Mapping[str, BoneBasis],
        view: FixedView,
        start: ShapedWrist,
        code_sd: Mapping[str, NDArray[np.floating]],
        settings: ImageFitSettings,
    ) -> None:
        self.settings = settings
        self._elements = {name: bone_elements(bases[name]) for name in BONES}
        modes = {name: len(bases[name].modes) for name in BONES}
        sizes = (6, modes["radius"], modes["ulna"] + PLACEMENT, INSIDE, INSIDE)
        names: tuple[str, ...] = ("pose", "radius", "ulna", "in radius", "in ulna")
        self._count = sum(sizes)
        parts = np.split(np.arange(self._count), np.cumsum(sizes)[:-1])
        self._at: dict[str, NDArray[np.int64]] = dict(zip(names, parts, strict=True))
        pose = view.camera.camera_from_world @ start.world_from_radius
        self._centre = apply_transform(pose, _CENTRE_MM)
        nothing = {name: np.zeros((3, len(KNOTS_MM))) for name in BONES}
        self.start = _State(pose, {name: np.array(start.codes[name], dtype=np.float64) for name in BONES}, nothing)
        self._view = self._around_bones(view)
        self._precision = self._prior_precision(code_sd)
        self._fit_gain()

    def _around_bones(self, view: FixedView) -> FixedView:
        """The view weighted about the bones and above what the modes know, cut to that."""
        shadow = self._image(self.start, view.camera) > SHADOW
        end = view.camera.image_from_camera @ apply_transform(
            self.start.camera_from_radius, np.array([0.0, 0.0, _COMPARED_ABOVE_MM])
        )
        above = np.clip((end[1] / end[2] - np.arange(len(shadow))) / _RAMP_PX, 0, 1)[:, None]
        weights = view.pixel_weights * dilated(shadow, self.settings.margin_px) * above if shadow.any() else 0 * shadow
        if not (weights > 0).any():
            raise InputError("image fit: the start puts the bones outside the image; give another start")
        return cropped(replace(view, weights=weights), window_of(weights > 0, 2, 1))

    def _fit_gain(self) -> None:
        image, weights = self._image(self.start, self._view.camera), self._view.pixel_weights
        gain = (weights * image * self._view.image).sum() / (weights * image**2).sum()
        self._log_gain = float(np.log(max(gain, 1e-6)))
        self.level = float(np.percentile(max(gain, 1e-6) * image[weights > 0], 95))
        for inside in self.start.inside.values():
            inside[0] = self._log_gain

    def _prior_precision(self, code_sd: Mapping[str, NDArray[np.floating]]) -> Float:
        settings, at, knots = self.settings, self._at, len(KNOTS_MM)
        precision = np.zeros((self._count, self._count))
        precision[at["pose"], at["pose"]] = 1 / np.square(settings.pose_sd)
        precision[at["radius"], at["radius"]] = 1 / np.square(code_sd["radius"][:-PLACEMENT])
        precision[at["ulna"], at["ulna"]] = 1 / np.square(code_sd["ulna"])
        smooth = np.exp(-0.5 * ((KNOTS_MM[:, None] - KNOTS_MM) / _INSIDE_LENGTH_MM) ** 2) + 1e-3 * np.eye(knots)
        for name in BONES:
            inside = at[f"in {name}"].reshape(3, knots)
            for numbers, sd in ((inside[1], settings.spongiosa_sd), (inside[2], settings.wall_sd)):
                precision[np.ix_(numbers, numbers)] = np.linalg.inv(sd**2 * smooth)
        density = np.concatenate([at["in radius"][:knots], at["in ulna"][:knots]])  # they share one gain
        covariance = np.kron(np.eye(2), settings.density_sd**2 * smooth) + settings.gain_sd**2
        precision[np.ix_(density, density)] = np.linalg.inv(covariance)
        return precision

    def _posed(self, state: _State, name: str) -> PosedBone:
        return PosedBone(self._elements[name], state.codes[name], state.inside[name], state.camera_from_radius)

    def _image(self, state: _State, camera: XrayCamera) -> Float:
        images = [bone_image(self._posed(state, name), camera, self.settings.sigma_px) for name in BONES]
        return np.asarray(images[0] + images[1])

    def _change(self, state: _State) -> NDArray[np.float32]:
        """(rows, columns, numbers)."""
        camera = self._view.camera
        change = np.zeros((*camera.shape_px, self._count), dtype=np.float32)
        for name in BONES:
            of_bone = bone_change(self._posed(state, name), camera, self.settings.sigma_px, self._centre)
            pose, code, inside = np.split(of_bone, [6, of_bone.shape[2] - INSIDE], axis=2)
            change[:, :, self._at["pose"]] += pose
            change[:, :, self._at[name]] = code[:, :, : len(self._at[name])]
            change[:, :, self._at[f"in {name}"]] = inside
        return change

    def moved(self, state: _State, step: Float) -> _State:
        """The state after a step (numbers,)."""
        at, centre = self._at, self._centre
        turn = compose(translation(centre), rigid_from_vector(step[at["pose"]]), translation(-centre))
        radius = state.codes["radius"].copy()
        radius[:-PLACEMENT] += step[at["radius"]]
        codes = {"radius": radius, "ulna": state.codes["ulna"] + step[at["ulna"]]}
        inside = {name: state.inside[name] + step[at[f"in {name}"]].reshape(3, -1) for name in BONES}
        return _State(turn @ state.camera_from_radius, codes, inside)

    def _offset(self, state: _State) -> Float:
        """(numbers,) by how much the state is off the prior's mean."""
        at, centre, offset = self._at, self._centre, np.zeros(self._count)
        motion = state.camera_from_radius @ invert_rigid(self.start.camera_from_radius)
        offset[at["pose"]] = vector_from_rigid(compose(translation(-centre), motion, translation(centre)))
        offset[at["radius"]] = (state.codes["radius"] - self.start.codes["radius"])[:-PLACEMENT]
        offset[at["ulna"]] = state.codes["ulna"] - self.start.codes["ulna"]
        for name in BONES:
            offset[at[f"in {name}"]] = (state.inside[name] - self.start.inside[name]).ravel()
        return offset

    def _misfits(self, state: _State) -> Float:
        """(3, rows, columns) of the image and its gradients, in SD."""
        residual = (self._view.image - self._image(state, self._view.camera)) / self.level
        sds = np.array([self.settings.level_sd, self.settings.edge_sd, self.settings.edge_sd])
        return _channels(residual[:, :, None])[..., 0] / sds[:, None, None]

    def cost(self, state: _State) -> tuple[float, float]:
        """(misfit of the image, charge of the prior)."""
        square, offset = self._misfits(state) ** 2, self._offset(state)
        robust = square / (1 + square / self.settings.robust**2)
        misfit = float((self._view.pixel_weights * robust).sum()) / self.settings.correlated
        return misfit, float(offset @ self._precision @ offset)

    def normal_equations(self, state: _State) -> tuple[Float, Float]:
        """(numbers, numbers) and (numbers,): half the Hessian of the cost (Gauss-Newton) and half its descent."""
        misfits = self._misfits(state)
        robust = 1 / (1 + (misfits / self.settings.robust) ** 2) ** 2
        weights = self._view.pixel_weights * robust / self.settings.correlated
        sds = np.array([self.settings.level_sd, self.settings.edge_sd, self.settings.edge_sd], dtype=np.float32)
        seen = self._view.pixel_weights > 0
        columns = _channels(self._change(state))[:, seen] / (np.float32(self.level) * sds[:, None, None])
        columns = columns.reshape(-1, self._count)
        weighted = columns * weights[:, seen].reshape(-1, 1).astype(np.float32)
        normal = (columns.T @ weighted).astype(np.float64) + self._precision
        slope = weighted.T.astype(np.float64) @ misfits[:, seen].ravel() - self._precision @ self._offset(state)
        return normal, slope


def _channels(stack: NDArray[np.floating]) -> NDArray[np.floating]:
    """(rows, columns, C) -> (3, rows, columns, C): the images and their gradients per pixel, 0 at the rim."""
    out = np.zeros((3, *stack.shape), dtype=stack.dtype)
    out[0] = stack
    out[1, 1:-1] = (stack[2:] - stack[:-2]) / 2
    out[2, :, 1:-1] = (stack[:, 2:] - stack[:, :-2]) / 2
    return out
