"""Virtual bones on films that show a spot at each point of them: what S's descent steps can be fitted to in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bonelift.anatomy.shape_basis import BoneBasis, fit_basis
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.film.standard import FILM_SHAPE, standard_projection
from bonelift.learning.augmentation import AffineRange
from bonelift.learning.loop import LoopConfig
from bonelift.learning.samples import DrrSamples, FilmSamples, SurfaceSamples, save_chunk
from bonelift.learning.shape_regression import ShapeTraining, build_shape_regressor
from bonelift.networks.occluding_contour import POSE
from bonelift.networks.shape_regressor import ShapeConfig, ShapeRegressor
from bonelift.networks.supervised_descent import rotations

PATIENTS = 24
MODES, PICTURES = 3, 6
STILL = ShapeTraining(LoopConfig(1, 1e-3), affine=AffineRange(), variation=0.0)


def wrists(seeds: range) -> SurfaceSamples:
    made = [sample_wrist(load_shape_model(), np.random.default_rng(seed)) for seed in seeds]
    return SurfaceSamples(
        np.stack([wrist.radius.vertices for wrist in made]).astype(np.float32),
        np.stack([wrist.ulna.vertices for wrist in made]).astype(np.float32),
    )


def spot_bases() -> tuple[BoneBasis, BoneBasis]:
    surfaces, model = wrists(range(8)), load_shape_model()
    return (
        fit_basis(surfaces.radius, model.radius.mean.faces, MODES),
        fit_basis(surfaces.ulna, model.ulna.mean.faces, MODES),
    )


def mean_reader(bases: tuple[BoneBasis, BoneBasis], steps: int = 2, film_steps: int = 0) -> ShapeRegressor:
    """An S that answers with the mean bones, straight in the beam, before its steps. It reads films where film_steps
    is not 0."""
    radius, ulna = (basis.length for basis in bases)
    config = ShapeConfig(
        radius + ulna, (4, 4, 4, 8), (1, 1, 1), 8, reads_film=film_steps > 0, descent_steps=steps,
        film_steps=film_steps, points=30, radius_outputs=radius,
    )  # fmt: skip
    network = build_shape_regressor(config, bases, 0)
    for part in (network.to_latent[2], network.to_pose):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)
    return network


def write_spots(
    folder: Path, network: ShapeRegressor, seed: int, surfaces: SurfaceSamples, shown: torch.Tensor, films: bool = False
) -> Path:
    """Bones of these codes (P, outputs), shifted and turned a little before a film that shows a blurred spot at each of
    their points. films: the film shows them and its DRR, too."""
    count = len(surfaces.radius) * PICTURES
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(count, POSE, generator=generator) * torch.tensor([0.2, 0.1, 0.2, 0.4, 0.0, 0.4])
    view = torch.zeros(count, dtype=torch.long)
    points = network.projected_points.points(shown.repeat_interleave(PICTURES, 0))
    px = network.projected_points.on_film(points, pose, view)
    rows, columns = (torch.arange(float(n)) for n in FILM_SHAPE)
    spots = torch.einsum(
        "npr,npc->nrc",
        torch.exp(-((px[..., 1, None] - rows) ** 2) / 32), torch.exp(-((px[..., 0, None] - columns) ** 2) / 32),
    ).half().numpy()  # fmt: skip
    motion = pose * network.projected_points.pose_sd
    rigid = torch.eye(4).repeat(count, 1, 1)
    rigid[:, :3, :3], rigid[:, :3, 3] = rotations(motion[:, :3]), motion[:, 3:]
    projections = (torch.from_numpy(standard_projection("pa")).float() @ rigid).numpy()
    patients = np.repeat(np.arange(len(surfaces.radius), dtype=np.int32), PICTURES)
    views = view.numpy().astype(np.uint8)
    save_chunk(folder, 0, surfaces)
    save_chunk(folder, 0, DrrSamples(spots, patients, views, projections))
    if films:
        save_chunk(folder, 0, FilmSamples(spots, spots, patients, views, projections))
    return folder


def spot_folders(whole: Path, bases: tuple[BoneBasis, BoneBasis], films: bool = False) -> tuple[Path, Path]:
    """Training and validation."""
    network, made = mean_reader(bases), []
    for number, (part, count) in enumerate((("training", PATIENTS), ("validation", 6))):
        codes = 0.7 * np.random.default_rng(number).standard_normal((count, network.outputs)).astype(np.float32)
        radius, ulna = np.split(codes, [bases[0].length], axis=1)
        surfaces = SurfaceSamples(
            np.stack([bases[0].decode(code).vertices for code in radius]).astype(np.float32),
            np.stack([bases[1].decode(code).vertices for code in ulna]).astype(np.float32),
        )
        made.append(write_spots(whole / part, network, number, surfaces, torch.from_numpy(codes), films))
    return made[0], made[1]
