"""The main job as one call: radiographs in, a :class:`Reconstruction` out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bonelift import progress
from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.api.arguments import a_count, a_path, in_python_words, one_of, shown
from bonelift.api.notebook import overlay_png, reconstruction_html
from bonelift.api.reading import FilePath, radiograph_options, read_radiograph
from bonelift.errors import InputError
from bonelift.geometry import CameraFile, XrayCamera, invert_rigid
from bonelift.geometry.patient_frame import PATIENT_FROM_OWN_SIDE
from bonelift.images import Radiograph, Side, View
from bonelift.images.radiograph import Hanging
from bonelift.images.reading import Invert
from bonelift.networks import model as models
from bonelift.networks.model import WristModel
from bonelift.networks.own_network import Predictor, Translator, with_own_networks
from bonelift.reconstruction import job
from bonelift.reconstruction.bone_files import patient_surfaces
from bonelift.reconstruction.bones import Method
from bonelift.reconstruction.file_kinds import DEFAULT_KINDS, FILE_KINDS, FileKind
from bonelift.reconstruction.inputs import MOST_IMAGES, ImageInput, read_radiographs
from bonelift.reconstruction.judge import Quality, Verdict
from bonelift.reconstruction.measured import MeasuredValue
from bonelift.reconstruction.output_files import OutputFiles
from bonelift.reconstruction.result import Reconstruction as JobResult
from bonelift.reconstruction.save import save
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch
from bonelift.report.content import ReportExtras
from bonelift.report.pdf import check_pdf_library
from bonelift.storage.output_folder import output_folder
from bonelift.surface.mesh import TriangleMesh

Image = FilePath | NDArray[Any] | Radiograph
Camera = XrayCamera | CameraFile | FilePath


class Reconstruction:
    """The bones of one wrist, where they lie in the films, and how far to trust them.

    In a notebook it shows the film with the outlines of the placed bones, the verdict and the measurements.

    Attributes
    ----------
    side : str
        Which wrist, ``"left"`` or ``"right"``.
    radiographs : tuple of Radiograph
        The films that were read, in order; one in which no wrist was seen is left out.
    bones : dict
        ``"radius"`` and ``"ulna"``: :class:`TriangleMesh` in the patient frame (LPS: x to the patient's left, y to the
        back, z to the head; the origin where the radial shaft's axis meets its joint), mm; what :meth:`save` writes as
        STL. Without a bone that came out empty.
    poses : tuple of dict
        For each of ``radiographs``: ``"wrist"``, ``"radius"`` and ``"ulna"`` to (4, 4) rigid transforms, mm, from the
        patient frame to the world of the film's camera. Empty where nothing could be placed.
    measurements : dict
        Name to a value with ``value``, ``unit``, ``error`` (what it is expected to be off by), ``facts`` (definition,
        source, normal range) and, where it is NaN, ``reason``. On the bones in 3D, "radial inclination (3D)", and on
        each film.
    expected_error_mm : dict
        Bone to the mean surface distance from the true bone that is expected, mm: ``as_predicted_mm`` and, after rigid
        alignment, ``rigid_mm``. Empty where the model or the method does not tell it.
    quality : Quality
        ``score`` (0 to 1; it orders results and is no probability), ``flags`` (what was seen, in words) and ``checks``.
    verdict : str
        ``"no objection"``, ``"doubtful"`` (a warning was raised) or ``"not usable"`` (a severe flag was raised).
    result : object
        Everything the job found, for programs that need more; its parts may change between versions.

    Examples
    --------
    >>> import bonelift
    >>> found = bonelift.reconstruct(bonelift.demo_case().radiograph)  # doctest: +SKIP
    >>> found.verdict, found.measurements["radial inclination (3D)"].value  # doctest: +SKIP
    >>> found.save("result")  # doctest: +SKIP
    """

    def __init__(self, result: JobResult, sources: Sequence[Path] = ()) -> None:
        self.result = result
        self._sources = tuple(sources)

    @property
    def side(self) -> Side:
        return self.result.side

    @property
    def radiographs(self) -> tuple[Radiograph, ...]:
        return tuple(film.radiograph for film in self.result.films)

    @property
    def bones(self) -> dict[str, TriangleMesh]:
        made = self.result.bones
        return {} if made is None else patient_surfaces(made.surfaces, self.side)

    @property
    def poses(self) -> tuple[dict[str, NDArray[np.float64]], ...]:
        return tuple(
            {
                name: pose @ invert_rigid(PATIENT_FROM_OWN_SIDE)
                for name, pose in {"wrist": placed.world_from_radius, **placed.world_from_bone}.items()
            }
            for placed in self.result.placed
        )

    @property
    def measurements(self) -> dict[str, MeasuredValue]:
        return {value.name: value for value in self.result.measurements}

    @property
    def expected_error_mm(self) -> dict[str, ExpectedDistance]:
        return dict(self.result.expected or {})

    @property
    def quality(self) -> Quality:
        return self.result.quality

    @property
    def verdict(self) -> Verdict:
        return self.quality.verdict

    def save(self, folder: FilePath, files: Sequence[FileKind] = DEFAULT_KINDS, *, pdf: bool = False) -> Path:
        """Write meshes, labels, pictures, report and JSON, as ``bonelift reconstruct --out`` does.

        Parameters
        ----------
        folder
            A new or empty folder, or an earlier result, which is replaced.
        files
            What is written beside report, pictures and JSON: ``"stl"``, ``"glb"``, ``"seg"``, ``"nifti"``, ``"csv"``,
            ``"dicom"`` (where the images were DICOM files).
        pdf
            Whether the report is written as PDF, too.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        InputError
            The folder holds something else, or cannot be written.
        """
        place = a_path(folder, "folder")
        _saved(self, place, self._sources, files, pdf)
        return place

    def __repr__(self) -> str:
        views = " and ".join(radiograph.view for radiograph in self.radiographs)
        return (
            f"<bonelift.Reconstruction: {self.side} wrist, {views}, {self.verdict}, quality {self.quality.score:.2f}>"
        )

    def _repr_png_(self) -> bytes:
        return overlay_png(self.result)

    def _repr_html_(self) -> str:
        return reconstruction_html(self.result, self.verdict)


@in_python_words
def _saved(found: Reconstruction, place: Path, sources: tuple[Path, ...], files: Sequence[FileKind], pdf: bool) -> None:
    kinds = [one_of(kind, "files", FILE_KINDS) for kind in ([files] if isinstance(files, str) else files)]
    wanted = OutputFiles(cast("tuple[FileKind, ...]", tuple(kinds)), sources)
    if pdf:
        check_pdf_library()
    with output_folder(place) as staging:
        save(found.result, staging, extras=ReportExtras(pdf=bool(pdf)), files=wanted)


@in_python_words
def load_model(folder: FilePath | None = None, *, device: str = "cpu") -> WristModel:
    """A trained model, ready to use.

    Parameters
    ----------
    folder
        What ``bonelift train`` wrote as ``RUN/model``; None for the model that comes with the package.
    device
        ``"cpu"``, or a device that PyTorch knows, such as ``"cuda"``.

    Returns
    -------
    WristModel
        What :func:`reconstruct` takes; one loaded model serves any number of films.

    Raises
    ------
    InputError
        The folder holds no model of this version, a file is damaged, or PyTorch is needed and not installed.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.load_model("no-such-folder")
    Traceback (most recent call last):
    bonelift.errors.InputError: no-such-folder: no model there, or a damaged one: ...
    """
    return models.load_model(None if folder is None else a_path(folder, "folder"), device)


@in_python_words
def reconstruct(
    source: Image | Sequence[Image],
    *,
    side: Side | None = None,
    view: View | Sequence[View] | None = None,
    pixel_spacing_mm: float | None = None,
    sdd_mm: float | None = None,
    source_to_object_mm: float | None = None,
    camera: Camera | Sequence[Camera] | None = None,
    roi: tuple[int, int, int, int] | None = None,
    frame: int | None = None,
    invert: Invert = "auto",
    hanging: Hanging | None = None,
    model: WristModel | FilePath | None = None,
    method: Method | None = None,
    translator: Translator | None = None,
    predictor: Predictor | None = None,
    seed: int = 0,
) -> Reconstruction:
    """Radius and ulna in 3D from one or two radiographs of one wrist.

    Parameters
    ----------
    source
        A file, an array (rows, columns) or a :class:`Radiograph` that was read before; or two of them, in a list.
    side, pixel_spacing_mm, sdd_mm, source_to_object_mm, roi, frame, invert, hanging
        As in :func:`read_radiograph`, for all images. Leave them out for a :class:`Radiograph`, which knows them.
    view, camera
        As in :func:`read_radiograph`; for two images a list of two.
    model
        What :func:`load_model` gives, a folder with a model, or None for the packaged one.
    method
        ``"shape"``: the shape regressor. ``"tl"``: the paper's TL-embedding network. None: what the model does best.
    translator
        A function of one's own in the place of the model's translator: (film (160, 128), view) to line integrals of the
        bones, (160, 128). docs/own-network.md.
    predictor
        A function of one's own in the place of the model's predictor: a sequence of :class:`WristImage` to
        ``{"radius": TriangleMesh, "ulna": TriangleMesh}`` in the radius frame of a right wrist, mm.
    seed
        Seed of the searches for the pose: the same seed gives the same result.

    Returns
    -------
    Reconstruction
        Bones, poses, measurements, expected errors and verdict. Whatever could be read comes to an answer: look at
        ``verdict`` before anything else.

    Raises
    ------
    InputError
        An image cannot be read, a fact is missing or contradicted, two images are not of one wrist, or a function of
        one's own gave back what is no image or no bone.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.reconstruct("wrist.dcm").save("result")  # doctest: +SKIP
    >>> bonelift.reconstruct("pa.png", side="right", view="pa", pixel_spacing_mm=0.144)  # doctest: +SKIP
    """
    radiographs = _radiographs(locals())
    chosen = None if method is None else cast("Method", one_of(method, "method", ("shape", "tl")))
    if predictor is not None and chosen is not None:
        raise InputError("method and predictor were both given; expected one: the predictor is the method")
    if model is None or isinstance(model, str | os.PathLike):
        model = load_model(cast("FilePath | None", model))
    elif not callable(getattr(model, "run", None)):
        raise InputError(f"model is {shown(model)}; expected what bonelift.load_model gives, a folder, or None")
    model = with_own_networks(model, translator, predictor)
    settings = JobSettings(method=chosen, seed=a_count(seed, "seed"))
    with progress.bar(len(job.STEPS), "reconstruct") as bar:
        clock = Stopwatch(lambda name: bar.done(name))
        return Reconstruction(job.reconstruct(radiographs, model, settings, clock), _paths(source))


def _radiographs(given: dict[str, Any]) -> tuple[Radiograph, ...]:
    """The one or two images of a call, read."""
    source = given["source"]
    images = list(source) if isinstance(source, list | tuple) else [source]
    if not 1 <= len(images) <= MOST_IMAGES:
        raise InputError(f"source holds {len(images)} images; expected one or two of the same wrist")
    views, cameras = (_one_each(given[name], len(images), name) for name in ("view", "camera"))
    common = {
        name: given[name]
        for name in (
            "side", "pixel_spacing_mm", "sdd_mm", "source_to_object_mm", "roi", "frame", "invert", "hanging",
        )
    }  # fmt: skip
    common |= {"trim": True, "landmarks": None}
    if all(isinstance(image, str | os.PathLike) for image in images):
        # Read together: two patients, or one picture twice, are told by their files.
        return read_radiographs(
            [
                ImageInput(a_path(image, "source"), radiograph_options(common | {"view": view, "camera": camera}))
                for image, view, camera in zip(images, views, cameras, strict=True)
            ]
        )
    found = []
    for image, view, camera in zip(images, views, cameras, strict=True):
        facts = common | {"view": view, "camera": camera}
        if isinstance(image, Radiograph):
            _check_known(facts)
            found.append(image)
        else:
            found.append(read_radiograph(image, **facts))
    if len({radiograph.side for radiograph in found}) > 1:
        raise InputError("one image shows a left and the other a right wrist; expected two images of the same wrist")
    return tuple(found)


def _paths(source: object) -> list[Path]:
    """The files that all images of a call are; none where one is not a file."""
    images = cast("list[object]", list(source) if isinstance(source, list | tuple) else [source])
    paths = [Path(image) for image in images if isinstance(image, str | os.PathLike)]
    return paths if len(paths) == len(images) else []


def _check_known(facts: Mapping[str, Any]) -> None:
    """Facts beside a Radiograph would be left unread."""
    given = [n for n, value in facts.items() if value not in (None, "auto", True)]
    if given:
        raise InputError(f"{given[0]} was given for a Radiograph, which has its facts; give it to read_radiograph")


def _one_each(given: Any, count: int, what: str) -> list[Any]:
    if given is None:
        return [None] * count
    values = list(given) if isinstance(given, list | tuple) else [given]
    if len(values) != count:
        raise InputError(f"{what} has {len(values)} entries for {count} images; expected one for each, in order")
    return values
