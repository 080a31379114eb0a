"""What is known of the codes that a trained P or S reads, for those who use it: how they spread over training patients
(so that an unusual input shows), and how far they are off on validation patients (so that several films can be
weighed)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import SEEN_ABOVE_MM, BoneBasis
from bonelift.anatomy.shape_uncertainty import MEAN_OF_NORMAL, expected_distance
from bonelift.images.volume import BONES
from bonelift.learning.samples import DrrSamples, FilmSamples, SurfaceSamples
from bonelift.learning.shape_regression import Bases, encode_surfaces
from bonelift.networks.occluding_contour import OutlinedBones
from bonelift.networks.outlines import Outlines, SeenWrist, Source, read_together
from bonelift.networks.shape_regressor import ShapeRegressor
from bonelift.networks.tl_embedding import DRR_SCALE, FilmReader
from bonelift.networks.views import VIEW_CODES, view_of
from bonelift.surface.mesh import TriangleMesh

_BATCH = 64


def as_films(drrs: DrrSamples) -> FilmSamples:
    """DRRs of a CT, which no film belongs to."""
    return FilmSamples(np.zeros_like(drrs.drr), drrs.drr, drrs.patient, drrs.view, drrs.px_from_radius)


def without_pictures(films: FilmSamples) -> FilmSamples:
    """The DRRs of films as those of a CT."""
    return replace(films, radiograph=np.zeros_like(films.radiograph))


def read_codes(network: FilmReader, films: FilmSamples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(codes, standard deviations told of their errors), both (N, outputs), from the DRRs of ``films``.

    S reads the films as well where it reads films. Networks that tell no error give standard deviations of 1.
    """
    readings, sds = read_all(network, films)
    return readings[:, : sds.shape[1]], sds


@torch.no_grad()
def read_all(network: FilmReader, films: FilmSamples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same with the poses that an S with descent steps reads behind the codes, (N, outputs + POSE)."""
    network.eval()
    device = next(network.parameters()).device
    codes, sds = [], []
    for start in range(0, len(films.drr), _BATCH):
        part = slice(start, start + _BATCH)
        pictures = torch.from_numpy(films.drr[part].astype(np.float32))[:, None] / DRR_SCALE
        if isinstance(network, ShapeRegressor) and network.reads_film:
            pictures = torch.cat([pictures, torch.from_numpy(films.radiograph[part].astype(np.float32))[:, None]], 1)
        view = torch.from_numpy(films.view[part]).to(device)
        if isinstance(network, ShapeRegressor):
            readings, log_sd = network.readings(pictures.to(device), view)
            code = readings[-1]
            sds.append(log_sd.exp().cpu().numpy())
        else:
            code = network(pictures.to(device), view)
            sds.append(np.ones(code.shape, np.float32))
        codes.append(code.cpu().numpy())
    return np.concatenate(codes), np.concatenate(sds)


def code_spread(codes: NDArray[np.floating]) -> dict[str, Any]:
    """Mean and SD of codes (N, outputs) of training films, and the 99th percentile of the standardised distance."""
    mean, sd = codes.mean(axis=0), codes.std(axis=0)
    distance = np.sqrt((((codes - mean) / np.maximum(sd, 1e-6)) ** 2).mean(axis=1))
    return {"mean": mean.tolist(), "sd": sd.tolist(), "distance_99": float(np.percentile(distance, 99))}


def shape_errors(
    network: ShapeRegressor,
    films: FilmSamples,
    surfaces: SurfaceSamples,
    bases: Bases,
    outlines: Outlines,
    source: Source,
) -> dict[str, Any]:
    """Metadata of S's errors on validation films (or DRRs of a CT: ``source``), corrected by outlines, by view:
    "shape_error_sd", root mean square of each number's error; "shape_sd_factor", by how much it is larger than S tells,
    where S tells it, and then "expected_error", too (:func:`expected_error_facts`). Views without a film are left out.
    """
    codes, told = _read_corrected(network, films, bases, outlines, source)
    errors = codes - encode_surfaces(surfaces, bases)[films.patient]
    facts: dict[str, Any] = {"shape_error_sd": {}}
    if network.to_log_sd is not None:
        facts["shape_sd_factor"] = {}
    for view, code in VIEW_CODES.items():
        rows = films.view == code
        if not rows.any():
            continue
        facts["shape_error_sd"][view] = np.sqrt((errors[rows] ** 2).mean(axis=0)).round(4).tolist()
        if network.to_log_sd is not None:
            ratio = np.sqrt(((errors[rows] / told[rows]) ** 2).mean(axis=0))
            facts["shape_sd_factor"][view] = ratio.round(4).tolist()
    if network.to_log_sd is not None:
        factors = np.array([facts["shape_sd_factor"].get(view, np.ones(errors.shape[1])) for view in VIEW_CODES])
        facts["expected_error"] = expected_error_facts(errors, told * factors[films.view], surfaces, bases)
    return facts


def _read_corrected(
    network: ShapeRegressor, films: FilmSamples, bases: Bases, outlines: Outlines, source: Source
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    readings, told = read_all(network, films)
    codes, bones = readings[:, : told.shape[1]].copy(), OutlinedBones(bases)
    for row, reading in enumerate(readings):
        view = view_of(int(films.view[row]))
        film = films.radiograph[row] if source == "film" else None
        together = read_together([SeenWrist(view, reading.astype(np.float64), films.drr[row], film)], bones, outlines)
        if together is not None:
            codes[row] = together.code
    return codes, told


def expected_error_facts(
    errors: NDArray[np.floating], sds: NDArray[np.floating], surfaces: SurfaceSamples, bases: Bases
) -> dict[str, dict[str, float]]:
    """What turns the errors that S tells into mm, by bone ("expected_error" of a model's metadata).

    "outside_mm": root mean square distance of validation bones from what their basis can write. "factor": by how much
    the mean distance of what S read, after rigid alignment, is larger than what it was expected to be.
    errors: (N, outputs) of S's codes on validation films; sds: (N, outputs) that it expects of them.
    """
    found, start = {}, 0
    for bone, basis, points in zip(BONES, bases, (surfaces.radius, surfaces.ulna), strict=True):
        outside_mm = outside_basis_mm(basis, points.astype(np.float64))
        part = slice(start, start + basis.length)
        rigid = basis.error_metrics()[1]
        squares = np.einsum("ni,ij,nj->n", errors[:, part], rigid, errors[:, part]) + outside_mm**2
        true_mm = MEAN_OF_NORMAL * np.sqrt(squares).mean()
        told_mm = np.mean([expected_distance(basis, sd, outside_mm).rigid_mm for sd in sds[:, part]])
        found[bone] = {"factor": round(float(true_mm / told_mm), 4), "outside_mm": round(outside_mm, 4)}
        start += basis.length
    return found


def outside_basis_mm(basis: BoneBasis, points: NDArray[np.float64]) -> float:
    """Root mean square distance along the normals, mm, of bones (P, V, 3) from what their codes write."""
    normals = TriangleMesh(basis.reference, basis.faces).vertex_normals
    weights = np.where(basis.reference[:, 2] > SEEN_ABOVE_MM, basis.weights, 0.0)
    squares = [
        ((bone - basis.decode(basis.encode(bone)).vertices) * normals).sum(axis=1) ** 2 @ weights / weights.sum()
        for bone in points
    ]
    return float(np.sqrt(np.mean(squares)))
