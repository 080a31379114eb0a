"""Several ways to read one and the same image with a model that is there: nothing is trained.

A wrist is found, cut out and translated once; then each method turns that image into bones, so that the reading alone
differs. What a method could not do is a reason in words, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonelift.experiments.methods.render_and_compare import RenderAndCompare
from bonelift.experiments.own_methods import reason_of
from bonelift.experiments.run.cost import peak_mib
from bonelift.images.volume import BONES
from bonelift.networks.model import WristModel
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.bones import Bones, bones_of_code, predict

MEAN, SIZED = "mean bone", "mean bone at the true size"
METHODS: Mapping[str, str] = {
    "shape": "shape regressor (ours)",
    "tl": "TL net (Shiode 2021)",
    "render-and-compare": "shape model, rendered and compared (Baka 2011, Ehlke 2013)",
    MEAN: "no skill: mean bone",
    SIZED: "no skill: mean bone at the true size, which knows the truth",
}
"""Name of a method -> how a table calls it."""

Reader = Callable[[WristImage], Bones]
_RESET_PEAK = "5"  # proc(5): sets the peak of the resident memory back to what it is now.


def readers(model: WristModel) -> dict[str, Reader]:
    """Name -> how it turns one image into bones. The modes and the mean are those of the model's own population.

    Parameters
    ----------
    model
        A model with a shape regressor, since its bases are the modes.
    """
    compare = RenderAndCompare(model.bases)
    lengths = [model.bases[bone].length for bone in BONES]
    mean = bones_of_code(np.zeros(sum(lengths)), model)

    def compared(image: WristImage) -> Bones:
        codes = compare.codes([image])
        return bones_of_code(np.concatenate([codes[bone] for bone in BONES]), model)

    return {
        "shape": lambda image: predict([_drr(image)], [image.view], model, "shape", _films(image)),
        "tl": lambda image: predict([_drr(image)], [image.view], model, "tl"),
        "render-and-compare": compared,
        MEAN: lambda image: mean,
    }


def _drr(image: WristImage) -> np.ndarray:
    if image.drr is None:
        raise ValueError("the image has not been translated; expected line integrals")
    return image.drr


def _films(image: WristImage) -> list[np.ndarray] | None:
    return None if image.film is None else [image.film]


@dataclass(frozen=True, eq=False)
class ReadImage:
    """What a method made of one image. bones: None where it failed, for a ``reason``. seconds: of the processor.
    peak_mib: most memory that the process held meanwhile, libraries and the model included."""

    bones: Bones | None
    reason: str
    seconds: float
    peak_mib: float


def read_image(reader: Reader, image: WristImage) -> ReadImage:
    """Have a method read an image; whatever it raises, or leaves empty, is its failure."""
    reset_peak()
    started = time.process_time()
    try:
        bones, reason = reader(image), ""
    except Exception as error:  # of one method: the others still read
        bones, reason = None, reason_of(error)
    seconds = time.process_time() - started
    if bones is not None and not bones.complete:
        empty = [name for name, mesh in bones.surfaces.items() if mesh.is_empty]
        bones, reason = None, f"no surface: {' and '.join(empty)}"
    return ReadImage(bones, reason, seconds, peak_since_reset_mib())


def reset_peak() -> None:
    """Forget the peak of this process's memory so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return


def peak_since_reset_mib() -> float:
    """Most memory since :func:`reset_peak`; of the whole process where the system cannot tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return peak_mib()
    kib = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return round(kib[0] / 1024, 1) if kib else peak_mib()
