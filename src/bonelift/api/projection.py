"""Digitally reconstructed radiographs: line integrals of attenuation, and their derivative with respect to the pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from bonelift.api.arguments import a_count, a_number, an_array, in_python_words, one_of, poses, shown
from bonelift.drr.attenuation import EFFECTIVE_ENERGY_KEV, mu_water_per_mm
from bonelift.drr.gradients import project_with_pose_gradient
from bonelift.drr.joseph import Rule
from bonelift.drr.joseph import project as project_channels
from bonelift.drr.subject import attenuation_stack
from bonelift.errors import InputError
from bonelift.extras import is_there, missing
from bonelift.geometry import XrayCamera
from bonelift.geometry.plausible import PIXEL, SOURCE_TO_DETECTOR, VOXEL, LengthRange, check_length
from bonelift.images import LabelMap, Volume
from bonelift.images.dicom_series import DENSEST_HU

if TYPE_CHECKING:
    from torch import Tensor

DRR_PIXEL = LengthRange(PIXEL.low_mm, 20.0)
"""A pixel of a DRR may be coarser than a film's."""
MAX_SIDE_PX, MAX_THREADS = 10_000, 1024
LARGEST_PER_MM = 20.0
"""No material in the body, steel and gold included, attenuates more at diagnostic energies above 40 keV."""


@in_python_words
def attenuation(ct: Volume, labels: LabelMap | None = None, energy_kev: float = EFFECTIVE_ENERGY_KEV) -> Volume:
    """Linear attenuation of a CT, of everything in it or of radius and ulna alone.

    Parameters
    ----------
    ct
        HU, finite.
    labels
        Segmentation on the CT's grid with radius and ulna: all other voxels then become 0, as in a bone-only DRR. None
        keeps everything.
    energy_kev
        Effective energy of the beam in keV, 20 to 150.

    Returns
    -------
    Volume
        ``values`` (I, J, K) float32 in 1/mm, 0 or more, on the CT's grid.

    Raises
    ------
    InputError
        The CT holds NaN, the grids differ, or a bone is missing in the labels.

    Notes
    -----
    HU = 1000 (mu / mu_water - 1), with water after Hubbell and Seltzer 1995, NISTIR 5632.

    Examples
    --------
    >>> import bonelift, numpy as np
    >>> water = bonelift.Volume(np.zeros((4, 4, 4)), np.eye(4))
    >>> round(float(bonelift.attenuation(water).values[0, 0, 0]), 4)
    0.0193
    """
    if not isinstance(ct, Volume):
        raise InputError(f"ct is {shown(ct)}; expected a bonelift.Volume of HU")
    _check_voxels(ct, "ct")
    densest = float(np.nanmax(an_array(ct.values, "ct", "(I, J, K)", 3)))
    if densest > DENSEST_HU:
        raise InputError(
            f"ct comes to {densest:g}; expected HU, of which nothing in a body has more than {DENSEST_HU:g}"
        )
    if labels is not None and not isinstance(labels, LabelMap):
        raise InputError(f"labels is {shown(labels)}; expected a bonelift.LabelMap or None")
    water = mu_water_per_mm(a_number(energy_kev, "energy_kev", "keV"))
    stack = attenuation_stack(ct, labels, "arm" if labels is None else "bones", water)
    return Volume(stack[0], ct.world_from_voxel)


@in_python_words
def project(
    volume: Volume,
    camera: XrayCamera,
    camera_from_world: NDArray[np.floating] | None = None,
    *,
    rule: Rule = "joseph",
    threads: int = 1,
) -> NDArray[np.float32]:
    """Line integral of a volume along the ray of each pixel: a DRR.

    Parameters
    ----------
    volume
        Attenuation in 1/mm, 0 or more (:func:`attenuation` makes it of a CT), (I, J, K) in its world, mm.
    camera
        Image size and intrinsics, and the pose where ``camera_from_world`` is None.
    camera_from_world
        (4, 4), or (N, 4, 4) for N images: rigid, mm, the volume's world in the camera's frame (x along columns, y down
        the rows, z from the source to the detector).
    rule
        ``"joseph"``, or ``"simpson"`` for a fifth of its error at twice the time.
    threads
        How many threads share the rows.

    Returns
    -------
    numpy.ndarray
        (rows, columns), or (N, rows, columns), float32, dimensionless: mean -log(transmission) without scatter.

    Raises
    ------
    InputError
        Wrong types or shapes, NaN, a pose that is not rigid, or values that are no attenuation in 1/mm (HU, for one).

    Notes
    -----
    Joseph 1982, IEEE Trans Med Imaging 1(3):192-196, doi:10.1109/TMI.1982.4307572.

    Examples
    --------
    A cube of 20 mm and 0.05 per mm, seen along its edge, attenuates by 1:

    >>> import bonelift, numpy as np
    >>> world_from_voxel = np.diag([1.0, 1.0, 1.0, 1.0])
    >>> world_from_voxel[:3, 3] = [-9.5, -9.5, 980.0]
    >>> cube = bonelift.Volume(np.full((20, 20, 20), 0.05, np.float32), world_from_voxel)
    >>> camera = bonelift.film_camera(101, 101, pixel_spacing_mm=1.0)
    >>> round(float(bonelift.project(cube, camera)[50, 50]), 2)
    1.0
    """
    values, camera_from_voxel, single = _checked(volume, camera, camera_from_world)
    chosen = cast("Rule", one_of(rule, "rule", ("joseph", "simpson")))
    count = a_count(threads, "threads", 1, MAX_THREADS)
    images = project_channels(
        values, camera.image_from_camera, camera_from_voxel, camera.shape_px, threads=count, rule=chosen
    )
    return images[0, 0] if single else images[:, 0]


@in_python_words
def project_with_gradient(
    volume: Volume,
    camera: XrayCamera,
    camera_from_world: NDArray[np.floating] | None = None,
    *,
    rule: Rule = "joseph",
    threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A DRR and its derivative with respect to the pose, in one pass.

    Parameters
    ----------
    volume, camera, camera_from_world, rule, threads
        As in :func:`project`.

    Returns
    -------
    images : numpy.ndarray
        As in :func:`project`.
    gradients : numpy.ndarray
        The shape of ``images`` and a last axis of 6: per rad about the camera's x, y and z axis, then per mm along
        them, of a motion applied from the left, ``motion @ camera_from_world``, at no motion.

    Raises
    ------
    InputError
        As in :func:`project`.

    Examples
    --------
    A cube that is moved along a ray through its middle changes nothing there:

    >>> import bonelift, numpy as np
    >>> world_from_voxel = np.eye(4)
    >>> world_from_voxel[:3, 3] = [-9.5, -9.5, 980.0]
    >>> cube = bonelift.Volume(np.full((20, 20, 20), 0.05, np.float32), world_from_voxel)
    >>> camera = bonelift.film_camera(101, 101, pixel_spacing_mm=1.0)
    >>> image, gradient = bonelift.project_with_gradient(cube, camera)
    >>> gradient.shape, bool(abs(gradient[50, 50, 5]) < 1e-3)
    ((101, 101, 6), True)
    """
    values, camera_from_voxel, single = _checked(volume, camera, camera_from_world)
    chosen = cast("Rule", one_of(rule, "rule", ("joseph", "simpson")))
    images, gradients = project_with_pose_gradient(
        values,
        camera.image_from_camera,
        camera_from_voxel,
        camera.shape_px,
        threads=a_count(threads, "threads", 1, MAX_THREADS),
        rule=chosen,
    )
    return (images[0, 0], gradients[0, 0]) if single else (images[:, 0], gradients[:, 0])


@in_python_words
def project_torch(
    values: Tensor,
    world_from_voxel: NDArray[np.floating],
    camera: XrayCamera,
    camera_from_world: NDArray[np.floating] | None = None,
    motion: Tensor | None = None,
    *,
    rule: Rule = "joseph",
) -> Tensor:
    """A DRR as a torch operation, differentiable in the voxels and in the pose.

    Compiled kernels do the work for tensors on the CPU, ``grid_sample`` on any other device. Needs PyTorch.

    Parameters
    ----------
    values
        (I, J, K) float32 tensor, attenuation in 1/mm. Gradients flow to it.
    world_from_voxel
        (4, 4) affine, mm.
    camera, camera_from_world
        As in :func:`project`; not differentiated.
    motion
        (N, 6) tensor for N poses: rotation vector (rad) and translation (mm) in the camera's frame, applied from the
        left to each pose. Gradients flow to it. On the CPU the derivative is that at 0, so pass zeros and fold steps
        into ``camera_from_world``; on other devices any motion will do.
    rule
        As in :func:`project`.

    Returns
    -------
    torch.Tensor
        (rows, columns), or (N, rows, columns) for (N, 4, 4) poses.

    Raises
    ------
    InputError
        Wrong types or shapes, NaN, a pose that is not rigid, or PyTorch is not installed.

    Examples
    --------
    >>> import bonelift, numpy as np, torch
    >>> values = torch.full((20, 20, 20), 0.05, requires_grad=True)
    >>> world_from_voxel = np.eye(4)
    >>> world_from_voxel[:3, 3] = [-9.5, -9.5, 980.0]
    >>> camera = bonelift.film_camera(101, 101, pixel_spacing_mm=1.0)
    >>> image = bonelift.project_torch(values, world_from_voxel, camera)
    >>> image[50, 50].backward()
    >>> round(float(values.grad.sum()), 1)  # mm that the ray runs through the cube
    20.0
    """
    if not is_there("torch"):
        raise missing("torch", "project_torch")
    # Imported here: torch takes seconds, and this module is imported for the projection by numpy, too.
    import torch

    from bonelift.drr.torch_drr import project_torch as project_tensor

    if not isinstance(values, torch.Tensor) or values.ndim != 3:
        got = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, torch.Tensor) else shown(values)
        raise InputError(f"values is {got}; expected a float32 tensor (I, J, K)")
    if values.dtype != torch.float32 or not bool(torch.isfinite(values.detach()).all()):
        raise InputError(f"values is {values.dtype} or holds NaN; expected finite float32 (1/mm)")
    affine = an_array(world_from_voxel, "world_from_voxel", "(4, 4)", 2).astype(np.float64)
    _, camera_from_voxel, single = _checked(Volume(np.zeros((1, 1, 1)), affine), camera, camera_from_world)
    if motion is not None:
        _check_motion(motion, len(camera_from_voxel))
    images = project_tensor(
        values[None],
        torch.from_numpy(np.ascontiguousarray(camera.image_from_camera)),
        torch.from_numpy(camera_from_voxel),
        camera.shape_px,
        motion,
        rule=cast("Rule", one_of(rule, "rule", ("joseph", "simpson"))),
    )
    return images[0, 0] if single else images[:, 0]


@in_python_words
def film_camera(width_px: int, height_px: int, *, pixel_spacing_mm: float, sdd_mm: float = 1000.0) -> XrayCamera:
    """The camera of a plain film: the central ray meets the middle of the image.

    Parameters
    ----------
    width_px, height_px
        Size of the image in px.
    pixel_spacing_mm
        Side of a pixel on the detector, in mm.
    sdd_mm
        Distance from the X-ray source to the detector, in mm.

    Returns
    -------
    XrayCamera
        Its world is the camera's frame: origin at the source, z towards the detector, mm.

    Raises
    ------
    InputError
        A size that is no positive whole number, or a length that no film has, such as metres in the place of mm.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.film_camera(800, 960, pixel_spacing_mm=0.2).project([0.0, 0.0, 970.0]).tolist()
    [399.5, 479.5]
    """
    from bonelift.geometry import default_film_camera

    width, height = a_count(width_px, "width_px", 1, MAX_SIDE_PX), a_count(height_px, "height_px", 1, MAX_SIDE_PX)
    spacing = check_length(a_number(pixel_spacing_mm, "pixel_spacing_mm", "mm"), DRR_PIXEL, "pixel_spacing_mm")
    distance = check_length(a_number(sdd_mm, "sdd_mm", "mm"), SOURCE_TO_DETECTOR, "sdd_mm")
    return default_film_camera(width, height, spacing, distance)


def _check_voxels(volume: Volume, what: str) -> None:
    for edge in volume.spacing_mm:
        check_length(float(edge), VOXEL, f"{what}: an edge of its voxels")


def _check_motion(motion: object, count: int) -> None:
    import torch

    if not isinstance(motion, torch.Tensor) or not motion.is_floating_point():
        raise InputError(f"motion is {shown(motion)}; expected a tensor ({count}, 6) of float32")
    if tuple(motion.shape) != (count, 6):
        raise InputError(f"motion has shape {tuple(motion.shape)}; expected ({count}, 6)")
    if not bool(torch.isfinite(motion.detach()).all()):
        raise InputError("motion holds NaN or infinite numbers; expected finite rad and mm")


def _checked(
    volume: Volume, camera: XrayCamera, camera_from_world: NDArray[np.floating] | None
) -> tuple[NDArray[np.float32], NDArray[np.float64], bool]:
    """(1, I, J, K) values, (N, 4, 4) camera_from_voxel, and whether one image is wanted."""
    if not isinstance(volume, Volume):
        raise InputError(f"volume is {shown(volume)}; expected a bonelift.Volume of attenuation (1/mm)")
    if not isinstance(camera, XrayCamera):
        raise InputError(f"camera is {shown(camera)}; expected a bonelift.XrayCamera")
    _check_voxels(volume, "volume")
    values = an_array(volume.values, "volume", "(I, J, K)", 3).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > LARGEST_PER_MM:
        raise InputError(
            f"volume holds {low:.4g} to {high:.4g}; expected attenuation of 0 to {LARGEST_PER_MM:g} per mm; "
            "bonelift.attenuation turns HU into it"
        )
    pose = camera.camera_from_world if camera_from_world is None else camera_from_world
    stack, single = poses(pose, "camera_from_world")
    return values[None], stack @ volume.world_from_voxel, single
