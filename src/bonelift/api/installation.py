"""What is installed, and whether it works here: the facts of ``bonelift doctor``."""

from __future__ import annotations

import os
import platform
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bonelift import __version__
from bonelift.errors import InputError
from bonelift.extras import EXTRAS, how_to_install, is_there
from bonelift.kernel_cache import VARIABLE

Level = Literal["ok", "absent", "warning", "error"]
"""absent: an optional part that is not installed. warning: works, but not as well as it could. error: does not work."""
NEEDED_GIB, COMFORTABLE_GIB = 1.5, 4.0
"""What a reconstruction takes at its peak, and what a study of some patients takes."""
NEEDED_FREE_MIB = 200
_PACKAGES = (
    "numpy", "scipy", "numba", "onnxruntime", "scikit-image", "pydicom", "nibabel", "trimesh", "pillow", "safetensors",
)  # fmt: skip
_KERNEL = "joseph_kernels.march-*.nbi"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. text: what was found and, where it is not well, what to do."""

    what: str
    level: Level
    text: str


def look_around() -> list[Finding]:
    """Every check, in the order in which a person would ask. Nothing is changed."""
    checks: tuple[Callable[[], Finding], ...] = (
        _versions, _packages, _torch, _model, _kernels, _working_folder, _temporary_folder, _memory, _processors,
    )  # fmt: skip
    found = []
    for check in checks:
        try:
            found.append(check())
        except Exception as error:  # a check that fails is a finding, and the others go on
            name = check.__name__.strip("_").replace("_", " ")
            found.append(Finding(name, "error", f"cannot be told: {type(error).__name__}: {error}"))
    return [*found, *_extras()]


def _versions() -> Finding:
    text = f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Finding("bonelift", "ok", text)


def _packages() -> Finding:
    found, absent = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if absent:
        return Finding("packages", "error", f"{', '.join(absent)} not installed; install bonelift again")
    return Finding("packages", "ok", ", ".join(found))


def _torch() -> Finding:
    if not is_there("torch"):
        return Finding("PyTorch", "absent", f"not installed; reconstruct does without; for train, {_how('train')}")
    import torch

    build = torch.version.cuda
    if not torch.cuda.is_available():
        kind = "CPU build" if build is None else f"CUDA {build} build without a device that it can use"
        return Finding("PyTorch", "ok", f"{torch.__version__}, {kind}; device: cpu, {torch.get_num_threads()} threads")
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return Finding("PyTorch", "ok", f"{torch.__version__}, CUDA {build} build; devices: cpu, cuda ({names})")


def _model() -> Finding:
    # Imported here: a broken NumPy is to be a finding, not the end of the doctor.
    from bonelift.networks.model_files import (
        DEFAULT_MODEL,
        LARGEST_WEIGHTS_BYTES,
        WEIGHTS_NAME,
        read_checked,
        read_config,
    )

    try:
        config = read_config(DEFAULT_MODEL)
        size = len(read_checked(DEFAULT_MODEL / WEIGHTS_NAME, str(config.get("weights_sha256")), LARGEST_WEIGHTS_BYTES))
        for program, digest in dict(config.get("graphs", {})).items():
            read_checked(DEFAULT_MODEL / f"{program}.onnx", str(digest), LARGEST_WEIGHTS_BYTES)
    except InputError as error:
        return Finding("model", "error", f"{error}; install bonelift again")
    return Finding("model", "ok", f"{config['name']}, {size / 2**20:.1f} MiB, hashes of weights and graphs are right")


def _kernels() -> Finding:
    chosen = os.environ.get(VARIABLE)
    places = [Path(chosen)] if chosen else [
        Path(__file__).parents[1] / "drr" / "__pycache__",
        Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba",
    ]  # fmt: skip
    for place in places:
        if any(place.glob(_KERNEL)) or any(place.glob(f"*/{_KERNEL}")):
            return Finding("kernels", "ok", f"compiled, in {place}")
    writable = [place for place in places if _can_write(place)]
    if not writable:
        text = f"no place to keep them: {places[0]} cannot be written; set {VARIABLE} to a folder that can"
        return Finding("kernels", "warning", f"{text}, or each call compiles for half a minute")
    text = "not compiled yet: the first reconstruction takes longer by half a minute, once"
    return Finding("kernels", "ok", f"{text}; they will be kept in {writable[0]}")


def _working_folder() -> Finding:
    return _folder("working folder", Path.cwd(), "results need another --out", "warning")


def _temporary_folder() -> Finding:
    return _folder(
        "temporary folder", Path(tempfile.gettempdir()), "set TMPDIR to a folder that can be written", "error"
    )


def _folder(what: str, place: Path, otherwise: str, level: Level) -> Finding:
    if not _can_write(place):
        return Finding(what, level, f"{place} cannot be written; {otherwise}")
    status = os.statvfs(place) if hasattr(os, "statvfs") else None
    free_mib = float("inf") if status is None else status.f_bavail * status.f_frsize / 2**20
    if free_mib < NEEDED_FREE_MIB:
        return Finding(what, level, f"{place} has {free_mib:.0f} MiB free; make room, or {otherwise}")
    return Finding(
        what, "ok", f"{place} can be written" + ("" if status is None else f", {free_mib / 1024:.1f} GiB free")
    )


def _memory() -> Finding:
    limit_gib, why = memory_limit_gib()
    text = f"{limit_gib:.1f} GiB ({why})"
    if limit_gib < NEEDED_GIB:
        return Finding("memory", "error", f"{text}; a reconstruction needs {NEEDED_GIB:g} GiB: raise the limit")
    if limit_gib < COMFORTABLE_GIB:
        return Finding("memory", "warning", f"{text}; enough to reconstruct; training and studies need more")
    return Finding("memory", "ok", text)


def memory_limit_gib() -> tuple[float, str]:
    """The least of what this process may take, and what sets it."""
    limits = {"of the machine": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits["ulimit -v"] = soft
    for path in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        text = path.read_text(encoding="ascii").strip() if path.is_file() else "max"
        if text.isdigit():
            limits["limit of the container"] = int(text)
    why = min(limits, key=lambda name: limits[name])
    return limits[why] / 2**30, why


def _processors() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS")
    return Finding("processors", "ok", f"{usable} usable" + (f", OMP_NUM_THREADS is {threads}" if threads else ""))


def _extras() -> list[Finding]:
    found = []
    for extra in EXTRAS:
        absent = [module for module in extra.modules if not is_there(module)]
        if absent:
            text = f"not installed ({', '.join(absent)}); for {extra.use}, {_how(extra.name)}"
            found.append(Finding(f"extra {extra.name}", "absent", text))
        else:
            found.append(Finding(f"extra {extra.name}", "ok", f"{extra.what}: {extra.use}"))
    return found


def _how(extra: str) -> str:
    return how_to_install(extra)


def _can_write(place: Path) -> bool:
    """Whether a file can be made in a folder, or in the nearest one above it that is there."""
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return False
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False
