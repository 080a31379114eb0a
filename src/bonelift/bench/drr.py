"""``bonelift bench drr``: this engine beside every other projector that is installed, alternating in one run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bonelift.bench.drr_accuracy import TiltRow, tilt_errors
from bonelift.bench.peers import PEERS, Peer, Render, timed
from bonelift.bench.provenance import provenance
from bonelift.bench.scenes import Content, Scene, disagreement_percent, make_scene, reference_sample
from bonelift.drr import back_project, prepare, project, project_with_pose_gradient
from bonelift.errors import InputError

OURS, PREPARED, GRADIENT = "bonelift", "bonelift, prepared", "bonelift, with pose gradient"
SIMPSON, ADJOINT, BATCH = "bonelift, Simpson", "bonelift, adjoint", "bonelift, batch of 16"
BATCH_POSES = 16
BATCH_VOXELS = 160
"""Up to this size the batch is timed too; above it, one image fills every core."""
CURVE_REPEATS = 3
CURVE_VOXELS = (64, 96, 128, 192, 256, 320, 400)
CURVE_ROWS = (80, 160, 320, 640, 960)
CURVE_POSES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class DrrBenchSettings:
    """repeats: rounds, in each of which every engine renders once. threads: given to every engine that can be told.

    voxels, rows, columns, pixel_mm: the large task; the default is the paper's. rays: how many are
    checked against the reference. peers: measure them too.
    """

    repeats: int = 7
    threads: int = 2
    seed: int = 20260101
    voxels: int = 400
    rows: int = 625
    columns: int = 500
    pixel_mm: float = 0.4
    rays: int = 1500
    peers: bool = True
    curves: bool = True
    tilts: bool = True

    def __post_init__(self) -> None:
        if min(self.repeats, self.threads, self.voxels, self.rows, self.columns, self.rays) < 1 or self.pixel_mm <= 0:
            raise InputError(f"bench: repeats, threads, voxels, rays and image size must be positive; got {self}")


@dataclass(frozen=True)
class BenchRow:
    """One engine on one task.

    median_ms: for one image. cpu_ms: processor time of all threads, which a busy machine disturbs less.
    ratio: median over rounds of this engine's time over bonelift's in the same round.
    error_mean, error_max: against the float64 reference, % of its maximum; NaN where there is no whole image to check.
    images: how many were rendered at a time (a part of one below 1); times are for one.
    """

    task: str
    engine: str
    version: str
    model: str
    median_ms: float
    cpu_ms: float
    ratio: float
    error_mean: float
    error_max: float
    images: float = 1.0


@dataclass(frozen=True)
class BenchResult:
    """rows: the table. curves: name -> {"x": [...], engine: [ms, ...]}. tilts: errors at turned poses. provenance: how
    to repeat it."""

    settings: DrrBenchSettings
    rows: list[BenchRow]
    curves: dict[str, dict[str, list[float]]]
    provenance: dict[str, str]
    absent: list[str] = field(default_factory=list)
    tilts: list[TiltRow] = field(default_factory=list)

    def median_ms(self, task: str, engine: str) -> float:
        """Of one row; NaN where it is not there."""
        return next((row.median_ms for row in self.rows if (row.task, row.engine) == (task, engine)), float("nan"))

    def ratio(self, task: str, engine: str) -> float:
        """Of one row; NaN where it is not there."""
        return next((row.ratio for row in self.rows if (row.task, row.engine) == (task, engine)), float("nan"))


def run_drr_bench(settings: DrrBenchSettings, say: Callable[[str], None] = lambda _: None) -> BenchResult:
    """Time and check every engine; a peer that fails is listed with its reason, the rest go on.

    say: called with a line about what is measured next.
    """
    versions = {peer.name: peer.installed_version() if settings.peers else None for peer in PEERS}
    peers = [peer for peer in PEERS if versions[peer.name]]
    absent = [f"{peer.name}: not installed" for peer in PEERS if settings.peers and not versions[peer.name]]
    large = (settings.voxels, (settings.rows, settings.columns), settings.pixel_mm)
    small = (128, (160, 128), 0.59)
    rows = []
    tasks: list[tuple[Content, tuple[int, tuple[int, int], float], float]] = [
        ("bone only", large, 250.0),
        ("no empty space", large, 250.0),
        ("bone only", small, 80.0),
    ]
    for content, (voxels, shape_px, pixel_mm), field_mm in tasks:
        task = f"{content}, {voxels}^3 to {shape_px[1]}x{shape_px[0]}"
        say(task)
        scene = make_scene(content, voxels, shape_px, pixel_mm, settings.seed, field_mm=field_mm)
        rows += _measure(task, scene, settings, peers, versions, absent)
    say("curves")
    curves = _curves(settings, [peer for peer in peers if peer.fraction == 1.0]) if settings.curves else {}
    say("errors at turned poses")
    tilts = tilt_errors(settings.voxels, settings.rays // 2, settings.seed, settings.threads) if settings.tilts else []
    return BenchResult(settings, rows, curves, provenance(), absent, tilts)


def our_renders(scene: Scene, threads: int) -> dict[str, Render]:
    """This engine from the bare array, then with a prepared volume: forward, forward with gradient, more exact, and
    back; many poses at once where the volume is small."""
    camera, pose = scene.camera.image_from_camera, scene.camera_from_voxel
    shape_px, stack = scene.camera.shape_px, scene.values[None]
    volume = prepare(stack, threads=threads)

    def bare() -> NDArray[np.floating]:
        return project(stack, camera, pose, shape_px, threads=threads)[0]

    def prepared() -> NDArray[np.floating]:
        return project(volume, camera, pose, shape_px, threads=threads)[0]

    def gradient() -> NDArray[np.floating]:
        return project_with_pose_gradient(volume, camera, pose, shape_px, threads=threads)[0][0]

    def simpson() -> NDArray[np.floating]:
        return project(volume, camera, pose, shape_px, threads=threads, rule="simpson")[0]

    weights = np.ones((1, *shape_px), dtype=np.float32)

    def adjoint() -> NDArray[np.floating]:
        return back_project(weights, camera, pose, stack.shape[1:], threads=threads)[0]

    def batch() -> NDArray[np.floating]:
        return project(volume, camera, np.repeat(pose[None], BATCH_POSES, axis=0), shape_px, threads=threads)[0, 0]

    ways = {OURS: bare, PREPARED: prepared, GRADIENT: gradient, SIMPSON: simpson, ADJOINT: adjoint}
    if max(scene.values.shape) <= BATCH_VOXELS:
        ways[BATCH] = batch
    return {name: partial(timed, way) for name, way in ways.items()}


def _measure(
    task: str,
    scene: Scene,
    settings: DrrBenchSettings,
    peers: list[Peer],
    versions: dict[str, str | None],
    absent: list[str],
) -> list[BenchRow]:
    """One row for each engine: every round renders once with each of them, in turn."""
    renders, height = our_renders(scene, settings.threads), scene.camera.height_px
    facts: dict[str, tuple[str, str, float]] = dict.fromkeys(renders, ("", "Joseph, bilinear", 1.0))
    facts[SIMPSON] = ("", "Joseph, Simpson along the ray", 1.0)
    facts[BATCH] = ("", "Joseph, bilinear", float(BATCH_POSES))
    for peer in peers:
        count = max(1, round(peer.fraction * height))
        part = scene if count == height else scene.rows((height - count) // 2, count)
        facts[peer.name] = (versions[peer.name] or "", peer.model, count / height)
        renders[peer.name] = peer.build(part, settings.threads)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in renders}
    images: dict[str, NDArray[np.floating]] = {}
    for round_number in range(settings.repeats + 1):
        for name, render in list(renders.items()):
            try:
                images[name], wall, cpu = render()
            except (RuntimeError, OSError, subprocess.CalledProcessError, InputError) as error:
                absent.append(f"{name} on {task}: {str(error).splitlines()[0]}")
                del renders[name], seconds[name]
                continue
            if round_number > 0:  # the first round compiles and warms caches
                seconds[name].append((wall / facts[name][2], cpu / facts[name][2]))
    sample = reference_sample(scene, settings.rays, settings.seed)
    base = np.array(seconds[OURS])[:, 0]
    rows = []
    for name, times in seconds.items():
        version, model, images_at_once = facts[name]
        error = (float("nan"), float("nan"))
        if images_at_once >= 1 and name != ADJOINT:
            error = disagreement_percent(np.asarray(images[name]), *sample)
        wall_ms, cpu_ms = (1e3 * float(median) for median in np.median(times, axis=0))
        ratio = float(np.median(np.array(times)[:, 0] / base))
        rows.append(BenchRow(task, name, version, model, wall_ms, cpu_ms, ratio, error[0], error[1], images_at_once))
    return rows


def _curves(settings: DrrBenchSettings, peers: list[Peer]) -> dict[str, dict[str, list[float]]]:
    """Median ms an image against volume size, image rows, and poses in a batch (a volume prepared once)."""
    joseph = [peer for peer in peers if peer.package == "itk-rtk"]
    curves: dict[str, dict[str, list[float]]] = {}
    contents: tuple[Content, ...] = ("bone only", "no empty space")
    for content in contents:
        sizes = [float(n) for n in CURVE_VOXELS if n <= settings.voxels]
        scenes = [_curve_scene(content, int(n), 625, settings) for n in sizes]
        curves[f"volume size, {content}"] = {"x": sizes} | _curve(scenes, settings, joseph)
    scenes = [_curve_scene("bone only", 192, rows, settings) for rows in CURVE_ROWS]
    curves["image rows, bone only"] = {"x": [float(n) for n in CURVE_ROWS]} | _curve(scenes, settings, joseph)
    scene = make_scene("bone only", 128, (160, 128), 0.59, settings.seed, field_mm=80.0)
    volume = prepare(scene.values[None])
    per_image = []
    for count in CURVE_POSES:
        poses = np.repeat(scene.camera_from_voxel[None], count, axis=0)
        poses[:, 2, 3] += np.linspace(-20, 20, count)
        call = partial(project, volume, scene.camera.image_from_camera, poses, (160, 128), threads=settings.threads)
        times = [timed(call)[1] for _ in range(CURVE_REPEATS + 1)]
        per_image.append(1e3 * float(np.median(times[1:])) / count)
    curves["poses in a batch, 128^3 to 128x160"] = {"x": [float(n) for n in CURVE_POSES], PREPARED: per_image}
    return curves


def _curve_scene(content: Content, voxels: int, rows: int, settings: DrrBenchSettings) -> Scene:
    return make_scene(content, voxels, (rows, round(0.8 * rows)), 250.0 / rows, settings.seed)


def _curve(scenes: list[Scene], settings: DrrBenchSettings, peers: list[Peer]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for scene in scenes:
        renders = our_renders(scene, settings.threads)
        renders.pop(BATCH, None)
        renders |= {peer.name: peer.build(scene, settings.threads) for peer in peers}
        seconds = [{name: render()[1] for name, render in renders.items()} for _ in range(CURVE_REPEATS + 1)][1:]
        for name in renders:
            times.setdefault(name, []).append(1e3 * float(np.median([each[name] for each in seconds])))
    return times
