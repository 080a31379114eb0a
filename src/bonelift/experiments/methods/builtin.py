"""Methods of the field that ``evaluate --methods`` sets beside ours, by the protocol that anybody's method follows
(:mod:`bonelift.experiments.own_methods`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bonelift.errors import InputError
from bonelift.experiments.methods.depth_faces import train_depth_faces
from bonelift.experiments.methods.render_and_compare import train_render_and_compare
from bonelift.experiments.methods.volumes import attention_unet, swin_unetr, train_volumes
from bonelift.experiments.own_methods import BoneMethod, MethodInput, TrainingCase, TrainingFold, reason_of
from bonelift.experiments.presets import trainings_with_share
from bonelift.images import View
from bonelift.learning.cyclegan import build_cyclegan, train_cyclegan
from bonelift.learning.pix2pix import translate_films
from bonelift.learning.samples import DrrSamples, FilmSamples, save_chunk
from bonelift.networks.model import WristModel
from bonelift.networks.own_network import Predictor, WristImage
from bonelift.networks.pix2pix import Generator
from bonelift.networks.views import view_codes
from bonelift.reconstruction.bones import Method as Reader
from bonelift.reconstruction.bones import predict
from bonelift.surface.mesh import TriangleMesh


@dataclass(frozen=True)
class BuiltInMethod:
    """See :class:`bonelift.experiments.own_methods.BoneMethod`. title: in the table. note: what a reader of its row has
    to know. how: learns a fold. share: of the updates of the run that it gets."""

    name: str
    title: str
    how: Callable[[TrainingFold], Predictor]
    inputs: tuple[MethodInput, ...] = ("GAN-DRR",)
    note: str = ""
    share: float = 1.0

    def learn(self, fold: TrainingFold) -> Predictor:
        """See BoneMethod."""
        return self.how(replace(fold, preset=trainings_with_share(fold.preset, self.share)))


@dataclass(frozen=True, eq=False)
class BehindTranslator:
    """A fold's networks behind another translator of films. reader: which of them reads. updates: of the translator."""

    model: WristModel
    reader: Reader
    translator: Generator
    updates: int

    def __call__(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """Bones of one wrist, by the functions of the main job. Raises InputError without a film."""
        drrs = [self._translated(image) for image in images]
        films = [np.asarray(image.film) for image in images]
        return dict(predict(drrs, [image.view for image in images], self.model, self.reader, films).surfaces)

    def _translated(self, image: WristImage) -> np.ndarray:
        if image.film is None:
            raise InputError("there is no film to translate")
        return translate_films(self.translator, _films([image.film], [image.view]), bfloat16=False)[0].astype(
            np.float32
        )


def train_behind_cyclegan(fold: TrainingFold, reader: Reader) -> BehindTranslator:
    """A CycleGAN of the films of some patients and the CT-DRRs of others, as many updates as pix2pix; the fold's own
    network reads what it makes. Methods with other readers share it."""
    training = fold.preset.pix2pix_training
    home = fold.shared / f"cyclegan-{training.loop.updates}"
    folders = {name: home / "samples" / name for name in ("films", "drrs", "validation")}
    if not folders["drrs"].is_dir():
        shown, others = apart(fold.training)
        watching = [case for case in fold.validation if case.with_films] or shown
        for name, cases in (("films", shown), ("validation", watching)):
            for number, case in enumerate(cases):
                _save_films(folders[name], number, case)
        for number, case in enumerate(others):
            data = case.load()
            drrs = DrrSamples(data.drrs.astype(np.float16), np.zeros(len(data.drrs), np.int32),
                              view_codes(data.drr_views))  # fmt: skip
            save_chunk(folders["drrs"], number, drrs)
    networks = build_cyclegan(fold.preset.pix2pix, fold.seed)
    training = replace(training, loop=replace(training.loop, seed=fold.seed))
    films, drrs, watched = (folders[name] for name in ("films", "drrs", "validation"))
    train_cyclegan(films, drrs, watched, networks, training, home / "cyclegan")
    return BehindTranslator(fold.networks(), reader, networks.to_drr, training.loop.updates)


def apart(cases: Sequence[TrainingCase]) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """Cases whose films, and cases whose DRRs, a translator learns from that needs no pairs; no patient is in both.

    Those without films give DRRs; where they are not even half as many as the others, every second of these joins them.
    """
    patients = sorted({case.patient for case in cases if case.with_films})
    rest = {case.patient for case in cases} - set(patients)
    given = set(patients if 2 * len(rest) >= len(patients) else patients[::2])
    shown = [case for case in cases if case.patient in given]
    others = [case for case in cases if case.patient not in given]
    if not shown or not others:
        raise InputError(f"unpaired: {len(patients)} training patients with films; expected two or more")
    return shown, others


def _save_films(folder: Path, number: int, case: TrainingCase) -> None:
    data = case.load()
    if len(data.films):
        save_chunk(folder, number, _films(data.films, data.film_views, data.film_drrs))


def _films(
    films: Sequence[np.ndarray] | np.ndarray, views: Sequence[View], drrs: np.ndarray | None = None
) -> FilmSamples:
    pixels = np.asarray(films, dtype=np.float16)
    known = np.zeros_like(pixels) if drrs is None else drrs.astype(np.float16)
    return FilmSamples(pixels, known, np.zeros(len(pixels), np.int32), view_codes(views))


METHODS: dict[str, BuiltInMethod] = {
    method.name: method
    for method in (
        BuiltInMethod(
            "render-and-compare",
            "shape model, rendered and compared (Baka 2011, Ehlke 2013)",
            train_render_and_compare,
            note="no network but the translator; nominal camera",
        ),
        BuiltInMethod(
            "cyclegan-tl",
            "TL net behind CycleGAN, unpaired (Kasten 2020)",
            partial(train_behind_cyclegan, reader="tl"),
            ("film",),
            "film and DRR of one patient never together; the TL net is the fold's; one CycleGAN serves both rows, its "
            "seconds stand in the first that learned",
        ),
        BuiltInMethod(
            "cyclegan-shape",
            "shape regressor behind CycleGAN, unpaired",
            partial(train_behind_cyclegan, reader="shape"),
            ("film",),
            "film and DRR of one patient never together; the regressor is the fold's, and learned from pix2pix; one "
            "CycleGAN serves both rows",
        ),
        BuiltInMethod(
            "attention-unet",
            "AttentionUNet on the back-projected image (MONAI)",
            partial(train_volumes, make=attention_unet, name="attention_unet", multiple=8),
            note="small network, grid of the preset",
        ),
        BuiltInMethod(
            "swin-unetr",
            "SwinUNETR on the back-projected image (MONAI)",
            partial(train_volumes, make=swin_unetr, name="swin_unetr", multiple=32),
            note="the smallest such network, grid of the preset",
        ),
        BuiltInMethod(
            "depth-faces",
            "depth maps of both faces (after 3DDX, Gu 2024)",
            train_depth_faces,
            note="a U-Net of MONAI's on the bone-only image; no shape model completes its surfaces",
        ),
    )
}
"""By the name on the command line."""


def methods_of(specs: Sequence[str]) -> tuple[BoneMethod, ...]:
    """Methods by name, NAME@SHARE for one with fewer updates than the run gives, ``all``, or of anybody's own as
    FILE.py:NAME. One that is named again takes the place of the first. Raises InputError for an unknown one."""
    found: dict[str, BoneMethod] = {}
    for spec in specs:
        if spec == "all":
            found |= METHODS
            continue
        name, _, share = spec.partition("@")
        method = METHODS[name] if name in METHODS else own_method(spec)
        if name in METHODS and share:
            method = with_share(METHODS[name], share)
        found[spec if name not in METHODS else name] = method
    return tuple(found.values())


def with_share(method: BuiltInMethod, text: str) -> BuiltInMethod:
    """The method with ``text`` of its updates, which its row says. Raises InputError: no share."""
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 < share <= 1:
        raise InputError(f"--methods {method.name}@{text}: expected a share of the updates, more than 0 and at most 1")
    return replace(method, share=share, note=f"{method.note}; only {share:.3g} of the updates that the others had")


def own_method(spec: str) -> BoneMethod:
    """NAME of FILE.py, which is run: a method, or a class of one. Raises InputError: no such file or name, or a file
    that fails."""
    path_text, _, name = spec.rpartition(":")
    path = Path(path_text)
    if not path_text or not name.isidentifier():
        raise InputError(f"--methods {spec}: no such method; expected FILE.py:NAME or one of {', '.join(METHODS)}")
    found = importlib.util.spec_from_file_location(f"own_method_{path.stem}", path)
    if not path.is_file() or found is None or found.loader is None:
        raise InputError(f"--methods {spec}: {path_text} is no Python file")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
        made = getattr(module, name, None)
        method = made() if isinstance(made, type) else made
    except Exception as error:  # of code that is not ours: whatever it is, it is said
        raise InputError(f"--methods {spec}: {path.name} cannot be used ({reason_of(error)})") from error
    if method is None:
        raise InputError(f"--methods {spec}: {path.name} has no {name}")
    return method
