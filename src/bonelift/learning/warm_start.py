"""A new shape regressor that starts from the weights of a trained one, whatever bases the two write their codes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, ShapeRegressor, drr_level
from bonelift.networks.tl_embedding import DRR_SCALE

Float = NDArray[np.float64]

_STEP_SD = 0.1


def start_from(network: ShapeRegressor, trained: ShapeReader, bases: Sequence[BoneBasis], level: float = 1.0) -> None:
    """Give ``network`` the weights of a trained S, so that it tells about the same bones as that one from the start.

    bases: radius and ulna, in which ``network`` writes its codes; they share the points of the trained one's bases.
    level: of a usual picture (:func:`usual_level`), by which a network that is gain-free multiplies what it
        reads of a DRR where the trained one was not; without effect otherwise.
    A film that the trained S did not read, and an error that it did not tell, start at weights of 0; a film that only
    the trained one read is left out. Descent steps are not taken over: they are fitted anew, after the rest.
    Raises InputError where the networks differ in anything else.
    """
    old = dict(trained.network.state_dict())
    first = next(iter(old))
    if network.reads_film and not trained.config.reads_film:
        drr, view = old[first].split(1, dim=1)
        old[first] = torch.cat([drr, torch.zeros_like(drr), view], dim=1)
    if trained.config.reads_film and not network.reads_film:
        old[first] = old[first][:, [0, 2]]
    if network.gain_free and not trained.config.gain_free:
        old[first] = old[first].clone()
        old[first][:, 0] *= level
    maps = [code_map(before, after) for before, after in zip((trained.radius, trained.ulna), bases, strict=True)]
    matrix = torch.from_numpy(block_diag(*(matrix for matrix, _ in maps))).float()
    shift = torch.from_numpy(np.concatenate([shift for _, shift in maps])).float()
    old["to_latent.2.weight"] = matrix @ old["to_latent.2.weight"]
    old["to_latent.2.bias"] = matrix @ old["to_latent.2.bias"] + shift
    # The errors told are of other modes, and the descent steps are fitted to what this S will read.
    anew = ("to_log_sd", "descent.", "projected_points.", *(() if len(network.descent) else ("to_pose.",)))
    for name in [name for name in old if name.startswith(anew)]:
        del old[name]
    try:
        missing, unexpected = network.load_state_dict(old, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"shape regressor: the trained network has other sizes ({reason}); start without it"
        ) from error
    may_miss = ("to_log_sd", "descent.", "projected_points.", "to_pose.")
    if unexpected or any(not name.startswith(may_miss) for name in missing):
        raise InputError(f"shape regressor: weights {[*missing, *unexpected]} do not match; start without them")
    if network.to_log_sd is not None:
        torch.nn.init.zeros_(network.to_log_sd.weight)
        torch.nn.init.zeros_(network.to_log_sd.bias)


def with_film_steps(trained: ShapeReader, steps: int) -> ShapeReader:
    """A copy of a trained S that has at least so many steps on the film, where it reads films and has descent steps;
    new ones change nothing yet."""
    config = replace(trained.config, film_steps=max(steps, trained.config.film_steps))
    network = ShapeRegressor(config)
    network.load_state_dict(trained.network.state_dict(), strict=False)
    return replace(trained, config=config, network=network.eval())


def with_new_steps(trained: ShapeReader, sizes: ShapeConfig) -> ShapeReader:
    """A copy of a trained S with as many descent and film steps as ``sizes`` has, which change nothing yet."""
    config = replace(trained.config, descent_steps=sizes.descent_steps, film_steps=sizes.film_steps)
    network = ShapeRegressor(config)
    kept = {name: tensor for name, tensor in trained.network.state_dict().items() if not name.startswith("descent.")}
    network.load_state_dict(kept, strict=False)
    return replace(trained, config=config, network=network.eval())


def usual_level(drrs: NDArray[np.floating], most: int = 500) -> float:
    """Median level, as a network sees them, of up to ``most`` DRRs (N, H, W), line integrals, evenly taken."""
    chosen = drrs[:: max(1, len(drrs) // most)].astype(np.float32) / DRR_SCALE
    return float(drr_level(torch.from_numpy(chosen)[:, None]).median())


def code_map(before: BoneBasis, after: BoneBasis) -> tuple[Float, Float]:
    """(matrix (length after, length before), shift (length after,)) from codes of ``before`` to ``after``, first order.

    Exact for shapes that both can write and small placements. Raises InputError where the bases have other points.
    """
    if before.reference.shape != after.reference.shape or not np.array_equal(before.faces, after.faces):
        raise InputError("shape bases: they do not share their points; codes of one cannot be written in the other")

    def rewritten(code: Float) -> Float:
        return after.encode(before.decode(code).vertices)

    steps = _STEP_SD * np.eye(before.length)
    columns = [(rewritten(step) - rewritten(-step)) / (2 * _STEP_SD) for step in steps]
    return np.stack(columns, axis=1), rewritten(np.zeros(before.length))


def rewritten_codes(
    codes: NDArray[np.floating], before: Sequence[BoneBasis], after: Sequence[BoneBasis]
) -> NDArray[np.float32]:
    """Codes (N, outputs) of both bones in other bases; see :func:`code_map`. The same bases change nothing."""
    if all(old is new or np.array_equal(old.modes, new.modes) for old, new in zip(before, after, strict=True)):
        return np.asarray(codes, dtype=np.float32)
    maps = [code_map(*pair) for pair in zip(before, after, strict=True)]
    shift = np.concatenate([shift for _, shift in maps])
    matrix = np.asarray(block_diag(*(matrix for matrix, _ in maps)))
    return (np.asarray(codes, dtype=np.float64) @ matrix.T + shift).astype(np.float32)
