"""Radiographs, volumes, segmentations, surfaces and cameras from files, or from arrays that one has already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.api.arguments import a_count, a_flag, a_number, a_path, an_array, in_python_words, shown
from bonelift.errors import InputError
from bonelift.geometry import CameraFile, XrayCamera, camera_from_file
from bonelift.images import LabelMap, Radiograph, Side, View, Volume
from bonelift.images import reading as radiographs
from bonelift.images import volume_reading as volumes
from bonelift.images.radiograph import Hanging
from bonelift.images.reading import Invert, RadiographOptions
from bonelift.images.recorded_image import RecordedImage
from bonelift.surface import files as mesh_files
from bonelift.surface.mesh import TriangleMesh

FilePath = str | os.PathLike[str]


@in_python_words
def read_radiograph(
    source: FilePath | NDArray[Any],
    *,
    side: Side | None = None,
    view: View | None = None,
    pixel_spacing_mm: float | None = None,
    sdd_mm: float | None = None,
    source_to_object_mm: float | None = None,
    camera: XrayCamera | CameraFile | FilePath | None = None,
    roi: tuple[int, int, int, int] | None = None,
    trim: bool = True,
    frame: int | None = None,
    invert: Invert = "auto",
    hanging: Hanging | None = None,
    landmarks: tuple[float, float, float, float] | None = None,
) -> Radiograph:
    """Read one wrist radiograph, from a file or from an array of grey levels.

    What a DICOM header says need not be repeated; what it contradicts is an error. Nothing clinical is guessed.

    Parameters
    ----------
    source
        DICOM (CR, DX or XA), PNG, JPEG or TIFF file, by content whatever its name; or an array (rows, columns) of grey
        levels as a viewer would show them.
    side
        Which wrist, ``"left"`` or ``"right"``.
    view
        ``"pa"`` or ``"lateral"``.
    pixel_spacing_mm
        Side of a pixel on the detector, in mm.
    sdd_mm
        Distance from the X-ray source to the detector, in mm; 1000 where neither file nor caller says it.
    source_to_object_mm
        Distance from the source to the wrist, in mm; ``sdd_mm`` - 30 where nothing says it.
    camera
        Calibrated camera of the whole image as recorded, or its file; in the place of spacing and distances.
    roi
        ``(x0, y0, x1, y1)`` px of the image as recorded, half open: only this part is kept.
    trim
        Whether what the collimator covers is cut off. False keeps the image as recorded, as a mask drawn on it needs.
    frame
        Which image of a multi-frame file, counted from 1.
    invert
        ``"yes"``: bones are dark as displayed. ``"no"``: bones are bright. ``"auto"``: by the header, else by the
        pixels.
    hanging
        ``"as recorded"``: as the source saw the wrist. ``"mirrored"``: flipped left to right for display.
    landmarks
        ``(x, y, x, y)`` px of the image as recorded: where the axis of the radial shaft meets the distal joint surface,
        and a point of that axis some 40 mm up the forearm. None: found in the picture later on.

    Returns
    -------
    Radiograph
        Pixels (rows, columns) float32 with bright bones, the camera (mm, world = the camera's own frame unless a
        calibration says otherwise), side, view, and ``provenance``: where each fact came from.

    Raises
    ------
    InputError
        The file cannot be read, or side, view or millimetres are not known, or an argument contradicts the file.

    Examples
    --------
    >>> import bonelift, numpy as np
    >>> grey = np.random.default_rng(0).integers(0, 4096, (300, 240))
    >>> radiograph = bonelift.read_radiograph(grey, side="right", view="pa", pixel_spacing_mm=0.2, trim=False)
    >>> radiograph.pixels.shape, radiograph.camera.sdd_mm
    ((300, 240), 1000.0)
    """
    options = radiograph_options(locals())
    if isinstance(source, np.ndarray):
        grey = an_array(source, "the array of pixels", "(rows, columns)", 2)
        how = f"array of {grey.dtype}"
        recorded = RecordedImage(
            grey.astype(np.float32),
            no_spacing_reason="an array does not say how large a pixel is",
            provenance={"file_format": how},
        )
        return radiographs.radiograph_of(recorded, "array", options)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"source is {shown(source)}; expected a path or an array (rows, columns)")
    return radiographs.read_radiograph(a_path(source, "source"), options)


def radiograph_options(given: dict[str, Any]) -> RadiographOptions:
    """The keyword arguments of :func:`read_radiograph` as options, each of its type."""
    known: dict[str, Any] = {
        name: given[name] for name in ("side", "view", "roi", "trim", "frame", "invert", "hanging", "landmarks")
    }
    known["trim"] = a_flag(known["trim"], "trim")
    if known["frame"] is not None:
        known["frame"] = a_count(known["frame"], "frame", least=1)
    if known["roi"] is not None:
        known["roi"] = tuple(int(x) for x in _four(known["roi"], "roi", "(x0, y0, x1, y1)"))
    if known["landmarks"] is not None:
        known["landmarks"] = tuple(_four(known["landmarks"], "landmarks", "(x, y, x, y)"))
    for name in ("pixel_spacing_mm", "sdd_mm", "source_to_object_mm"):
        known[name] = None if given[name] is None else a_number(given[name], name, "mm")
    camera = given["camera"]
    if camera is None:
        return RadiographOptions(**known)
    if not isinstance(camera, XrayCamera | CameraFile):
        camera = camera_from_file(a_path(camera, "camera"), known.pop("pixel_spacing_mm"))
    if isinstance(camera, CameraFile):
        if known["source_to_object_mm"] is None:
            known |= {
                "source_to_object_mm": camera.source_to_object_mm,
                "source_to_object_from": camera.distance_origin,
            }
        camera = camera.camera
    return RadiographOptions(camera=camera, **known)


def _four(given: object, what: str, expected: str) -> list[float]:
    numbers = an_array(given, what, expected, 1)
    if len(numbers) != 4:
        raise InputError(f"{what} has {len(numbers)} numbers; expected {expected} in px")
    return [float(number) for number in numbers]


@in_python_words
def read_camera(path: FilePath, pixel_spacing_mm: float | None = None) -> CameraFile:
    """Read a calibrated X-ray camera from a bonelift JSON file or from XMALab / MayaCam 2.0 text.

    Parameters
    ----------
    path
        The file.
    pixel_spacing_mm
        Pixel pitch on the detector, in mm; used for MayaCam files alone, which do not hold it.

    Returns
    -------
    CameraFile
        ``camera`` (an :class:`XrayCamera`), ``source_to_object_mm`` where the file says it, and where both came from.

    Raises
    ------
    InputError
        The file cannot be read as a camera.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.read_camera("no-such-file.json")
    Traceback (most recent call last):
    bonelift.errors.InputError: no-such-file.json: no such file; expected a camera file ...
    """
    spacing = None if pixel_spacing_mm is None else a_number(pixel_spacing_mm, "pixel_spacing_mm", "mm")
    return camera_from_file(a_path(path, "path"), spacing)


@in_python_words
def read_volume(path: FilePath, *, series: int | None = None, hounsfield: bool = True) -> Volume:
    """Read a CT or another scalar volume: a DICOM folder, NIfTI, NRRD, MHA or MHD, by content.

    Parameters
    ----------
    path
        The file, or the folder with the DICOM series.
    series
        SeriesNumber, where a DICOM folder holds several.
    hounsfield
        Whether the values are HU, and are then checked to be such as a scanner measures.

    Returns
    -------
    Volume
        ``values`` (I, J, K) and ``world_from_voxel`` (4, 4): voxel index to the world, DICOM patient LPS, mm.

    Raises
    ------
    InputError
        The file is not one complete volume of finite numbers, or, with ``hounsfield``, holds what nothing has.

    Examples
    --------
    >>> import bonelift
    >>> ct = bonelift.read_volume("study/case-0001/ct.nrrd")  # doctest: +SKIP
    >>> ct.values.shape, ct.spacing_mm  # doctest: +SKIP
    """
    place = a_path(path, "path")
    number = None if series is None else a_count(series, "series")
    return volumes.read_ct(place, number) if a_flag(hounsfield, "hounsfield") else volumes.read_volume(place, number)


@in_python_words
def read_labels(path: FilePath) -> LabelMap:
    """Read a segmentation of radius and ulna: Slicer ``.seg.nrrd``, NIfTI, NRRD or MHA.

    Parameters
    ----------
    path
        The file. Segments named radius and ulna become 1 and 2; in formats without names 1 is the radius, 2 the ulna.

    Returns
    -------
    LabelMap
        ``labels`` (I, J, K) uint8, ``world_from_voxel`` (4, 4) to LPS mm, ``names`` of the labels that occur.

    Raises
    ------
    InputError
        The file holds no whole-number labels, or segments overlap.

    Examples
    --------
    >>> import bonelift
    >>> labels = bonelift.read_labels("study/case-0001/labels.seg.nrrd")  # doctest: +SKIP
    >>> labels.names  # doctest: +SKIP
    {1: 'radius', 2: 'ulna'}
    """
    return volumes.read_labels(a_path(path, "path"))


@in_python_words
def read_mesh(path: FilePath) -> TriangleMesh:
    """Read the surface of one bone: STL, PLY, OBJ or GLB.

    Parameters
    ----------
    path
        The file. STL, PLY and OBJ are taken to be in mm, GLB in metres as glTF says.

    Returns
    -------
    TriangleMesh
        ``vertices`` (V, 3) mm and ``faces`` (F, 3), in the file's frame; one that 3D Slicer marks as RAS is turned to
        LPS.

    Raises
    ------
    InputError
        The file is missing, broken or empty, or the bone is longer or shorter than any.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.read_mesh("bone.docx")
    Traceback (most recent call last):
    bonelift.errors.InputError: bone.docx: mesh type '.docx' is not read; expected .stl, .ply, .obj, .glb
    """
    return mesh_files.read_mesh(Path(a_path(path, "path")))
