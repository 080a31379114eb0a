"""A reading of S corrected by the outlines of its bones, of one picture or of several of the same wrist together.

S reads every picture by itself, and what it reads follows the bones that it has learned from. An outline can be seen on
any bone. Around each point of the occluding contours of the bones as read, a small network looks at the picture along
the outline's normal, and tells by how many pixels the outline lies farther out, and how sure that is: it has learned
how an edge looks, whatever the bone. The reading and its error covariance on one side and these offsets on the other
are then weighed as Gaussians, by Gauss and Newton. Several pictures share the shape and each has its own pose, so
nothing needs to be known of how one was taken beside the other.

Sources: Cootes et al. 1995, "Active shape models: their training and application" (the search along normals); Fleute &
Lavallee 1999, "Nonrigid 3-D/2-D registration of images using statistical models" (contours of several films).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates
from scipy.special import erf

from bonelift.errors import InputError
from bonelift.film.unseen import falls_in
from bonelift.images import View
from bonelift.networks.occluding_contour import POSE, Contours, OutlinedBones, outlined

Float = NDArray[np.float64]

ALONG_PX = np.concatenate([np.arange(-14, -5, 1.5), np.arange(-10, 11) / 2, np.arange(6.5, 15, 1.5)])
"""Where the picture is sampled along the outward normal, and on lines beside it (ACROSS_PX): finely nearby, and far
enough to see the edge of an ulna that was read 4 mm beside its place."""
ACROSS_PX = np.array([-1.5, 0.0, 1.5])
SAMPLES = len(ALONG_PX) * len(ACROSS_PX)
PLACE = 12
"""Numbers that say where on which bone a point is, and which way out is."""
LEAST_SD_PX = 0.15
_BESIDE_UNSEEN_PX = 4
"""So near to where a picture ends, its end looks like an outline."""
_FAINT = 0.03
"""Of a film's grey values: what is flatter than this is not stretched to full contrast."""

Source = Literal["drr", "film"]
"""drr: the DRR of a CT. film: the generator's DRR, and the film that it was translated from."""
FEATURES = {"drr": SAMPLES + PLACE, "film": 2 * SAMPLES + 2 + PLACE}


@dataclass(frozen=True, eq=False)
class OutlineNetwork:
    """Features to (offset, logarithm of its SD), px: standardised by ``mean`` and ``sd``, then layers with GELU between
    them. weights: (inputs, outputs) of each layer; biases: (outputs,)."""

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    def offsets(self, features: NDArray[np.float32]) -> tuple[Float, Float]:
        """((N,), (N,)) px by which outlines lie farther out, and the SD of their errors."""
        hidden = (features - self.mean) / self.sd
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = _gelu(hidden @ weight + bias)
        told = (hidden @ self.weights[-1] + self.biases[-1]).astype(np.float64)
        return told[:, 0], np.exp(np.clip(told[:, 1], np.log(LEAST_SD_PX), 3.0))


def _gelu(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return 0.5 * values * (1 + erf(values * np.float32(np.sqrt(0.5))))


@dataclass(frozen=True, eq=False)
class OutlineReader:
    """network: of pictures of one kind. covariance: (numbers, numbers) of the errors of S's readings of them, codes of
    both bones in SD and the pose in units of POSE_SD."""

    network: OutlineNetwork
    covariance: Float

    @cached_property
    def precision(self) -> Float:
        """The inverse of the covariance."""
        return np.asarray(np.linalg.inv(self.covariance), dtype=np.float64)


Outlines = Mapping[tuple[View, Source], OutlineReader]


@dataclass(frozen=True)
class OutlineSettings:
    """rounds: of Gauss and Newton. points: of each bone's contour. alike: how many neighbouring points have the same
    error, so that they count once. farthest_px: offsets are cut to this."""

    rounds: int = 3
    points: int = 150
    alike: float = 10.0
    farthest_px: float = 12.0


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a picture does not show. mask: (rows, columns), where it shows nothing. bones: numbers of those of which so
    much is hidden that what S read of them is not believed."""

    mask: NDArray[np.bool_]
    bones: tuple[int, ...] = ()

    @cached_property
    def _near(self) -> NDArray[np.bool_]:
        return np.asarray(binary_dilation(self.mask, iterations=_BESIDE_UNSEEN_PX), dtype=np.bool_)

    def hides(self, points_px: Float) -> NDArray[np.bool_]:
        """(N,) whether points (N, 2) px fall where nothing is shown, or near to it, or beyond the picture."""
        return falls_in(self._near, points_px)


@dataclass(frozen=True, eq=False)
class SeenWrist:
    """One picture of a wrist, and what S reads from it.

    reading: (numbers,) code and pose in their units. drr: (rows, columns) line integrals on the standard film; film:
    pixels that it was translated from, None for a DRR of a CT. hidden: what the picture does not show.
    """

    view: View
    reading: Float
    drr: NDArray[np.floating]
    film: NDArray[np.floating] | None = None
    hidden: Hidden | None = None

    def sees(self, points_px: Float) -> NDArray[np.bool_]:
        """(N,) whether the picture shows something at points (N, 2) px and around them."""
        return np.ones(len(points_px), dtype=np.bool_) if self.hidden is None else ~self.hidden.hides(points_px)

    def expected(self, reader: OutlineReader, bones: OutlinedBones) -> tuple[Float, Float]:
        """(numbers,) what is expected of the wrist before its outlines are looked at, and (numbers, numbers) how sure
        that is, as a precision. Of a hidden bone it is what the population is: 0, with SD 1."""
        if self.hidden is None or not self.hidden.bones:
            return self.reading, reader.precision
        mean, covariance = self.reading.copy(), reader.covariance.copy()
        for number in self.hidden.bones:
            own = bones.parts[number]
            mean[own] = 0.0
            covariance[own], covariance[:, own] = 0.0, 0.0
            covariance[own, own] = np.eye(own.stop - own.start)
        return mean, np.asarray(np.linalg.inv(covariance), dtype=np.float64)

    @property
    def source(self) -> Source:
        return "drr" if self.film is None else "film"


@dataclass(frozen=True)
class OutlineSigns:
    """What a picture's outlines say of how well it was read.

    step: mean square of the step that they ask for, in SD of the errors of its reading: 1 would be as much as all that
    is expected to be wrong. sd_px: of each bone, radius first, the SD of its outline's place in the end, as the picture
    tells it, mean over the outline: large where the bone is hardly seen.
    """

    step: float
    sd_px: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ReadTogether:
    """code: (code_length,) of one wrist; poses: its pose (POSE,) in each picture, in units of POSE_SD; signs: of each
    picture."""

    code: Float
    poses: list[Float]
    signs: tuple[OutlineSigns, ...]


def read_together(
    seen: Sequence[SeenWrist], bones: OutlinedBones, outlines: Outlines, settings: OutlineSettings | None = None
) -> ReadTogether | None:
    """What :func:`corrected` gives, and how far to trust it: how far each picture by itself was corrected, and how sure
    it is of the outlines in the end. None where a picture has no reader of its kind."""
    if not seen or any((wrist.view, wrist.source) not in outlines for wrist in seen):
        return None
    how = settings or OutlineSettings()
    alone = [corrected([wrist], bones, outlines, how) for wrist in seen]
    code, poses = alone[0] if len(seen) == 1 else corrected(seen, bones, outlines, how)
    signs = []
    for wrist, (own_code, own_poses), pose in zip(seen, alone, poses, strict=True):
        reader = outlines[wrist.view, wrist.source]
        mean, precision = wrist.expected(reader, bones)
        step = np.concatenate([own_code, *own_poses]) - mean
        square = float(step @ precision @ step) / len(step)
        found = outlined(bones, np.concatenate([code, pose]), wrist.view, how.points)
        signs.append(OutlineSigns(square, _told_sd_px(found, wrist, reader)))
    return ReadTogether(code, poses, tuple(signs))


def _told_sd_px(found: Contours, wrist: SeenWrist, reader: OutlineReader) -> tuple[float, ...]:
    """Mean SD that is told along the outline of each bone, where the picture shows something; NaN where it shows none
    of it."""
    _, sd = reader.network.offsets(features(found, wrist.drr, wrist.film))
    sd = np.where(wrist.sees(found.points_px), sd, np.nan)
    ends = np.cumsum([len(part.points_px) for part in found.parts])
    return tuple(float(np.nanmean(own)) if np.isfinite(own).any() else np.nan for own in np.split(sd, ends[:-1]))


def corrected(
    seen: Sequence[SeenWrist], bones: OutlinedBones, outlines: Outlines, settings: OutlineSettings | None = None
) -> tuple[Float, list[Float]]:
    """The code (code_length,) of one wrist in several pictures, and its pose (POSE,) in each.

    Every picture needs a reader of its kind in ``outlines``.
    """
    how = settings or OutlineSettings()
    count, length = len(seen), bones.code_length
    numbers = length + POSE * count
    prior, pull = np.zeros((numbers, numbers)), np.zeros(numbers)
    places = [np.r_[:length, length + POSE * i : length + POSE * (i + 1)] for i in range(count)]
    for wrist, place in zip(seen, places, strict=True):
        mean, precision = wrist.expected(outlines[wrist.view, wrist.source], bones)
        prior[np.ix_(place, place)] += precision
        pull[place] += precision @ mean
    state = np.asarray(np.linalg.solve(prior, pull), dtype=np.float64)
    # Before the outlines are looked at, each pose is S's own.
    for wrist, place in zip(seen, places, strict=True):
        state[place[length:]] = wrist.reading[length:]
    for _ in range(how.rounds):
        normal, slope = prior.copy(), pull - prior @ state
        for wrist, place in zip(seen, places, strict=True):
            found = outlined(bones, state[place], wrist.view, how.points)
            offset, sd = outlines[wrist.view, wrist.source].network.offsets(features(found, wrist.drr, wrist.film))
            change = found.change()
            weighted = change.T * (wrist.sees(found.points_px) / (how.alike * sd**2))
            normal[np.ix_(place, place)] += weighted @ change
            slope[place] += weighted @ np.clip(offset, -how.farthest_px, how.farthest_px)
        state += np.linalg.solve(normal, slope)
    return state[:length], [state[place[length:]] for place in places]


def features(
    found: Contours, drr: NDArray[np.floating], film: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """(N, FEATURES) of the pictures around each point of the contours.

    Of the DRR the roots of the samples are taken, in units of its own level: the rim of a bone, where the ray through
    it is short, then shows. Of a film the samples around each point are stretched to the same contrast.
    """
    parts = [_sampled(np.sqrt(np.maximum(drr, 0.0) / _level(drr)), found)]
    if film is not None:
        grey = _sampled(film, found)
        mean, sd = grey.mean(axis=1, keepdims=True), grey.std(axis=1, keepdims=True)
        parts += [(grey - mean) / (sd + _FAINT), mean, sd]
    parts.append(_place(found))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _level(drr: NDArray[np.floating]) -> float:
    """See :func:`bonelift.networks.shape_regressor.drr_level`."""
    values = drr.astype(np.float64)
    total = values.sum()
    return float((values**2).sum() / total) if total > 1e-6 else 1.0


def _sampled(picture: NDArray[np.floating], found: Contours) -> Float:
    """(N, SAMPLES)."""
    out = found.outward_px[:, None, None]
    beside = np.stack([-out[..., 1], out[..., 0]], axis=-1)
    at = found.points_px[:, None, None] + ALONG_PX[:, None, None] * out + ACROSS_PX[:, None] * beside
    samples = map_coordinates(
        picture.astype(np.float32), [at[..., 1].ravel(), at[..., 0].ravel()], order=1, mode="nearest"
    )
    return samples.reshape(len(at), SAMPLES).astype(np.float64)


def _place(found: Contours) -> Float:
    """(N, PLACE): where a point lies on the mean bone (cm from its centre, and the waves of that), the direction
    outwards, and 1 for the ulna."""
    rows = []
    for part in found.parts:
        basis = found.bones.bones[part.number].basis
        at = (part.between(basis.reference) - basis.centre_mm) / 10
        rows.append(
            np.concatenate(
                [at, np.sin(2 * at), np.cos(2 * at), part.outward_px, np.full((len(at), 1), float(part.number))], axis=1
            )
        )
    return np.concatenate(rows)


def outline_arrays(outlines: Outlines) -> dict[str, NDArray[np.generic]]:
    """What a file of a model holds of them, by name."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for (view, source), reader in outlines.items():
        start, network = f"outlines/{view}/{source}", reader.network
        arrays |= {f"{start}/mean": network.mean, f"{start}/sd": network.sd}
        arrays[f"{start}/covariance"] = reader.covariance.astype(np.float32)
        for number, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            arrays |= {f"{start}/weight_{number}": weight, f"{start}/bias_{number}": bias}
    return arrays


def outlines_from_arrays(arrays: Mapping[str, NDArray[Any]], outputs: int) -> dict[tuple[View, Source], OutlineReader]:
    """The inverse of :func:`outline_arrays`; {} where there are none. outputs: numbers in the codes of both bones.

    Raises InputError where arrays are missing, do not fit each other, or hold what no covariance does.
    """
    found: dict[tuple[View, Source], OutlineReader] = {}
    views: tuple[View, ...] = get_args(View)
    sources: tuple[Source, ...] = get_args(Source)
    for view in views:
        for source in sources:
            start = f"outlines/{view}/{source}/"
            own = {k.removeprefix(start): np.asarray(a) for k, a in arrays.items() if k.startswith(start)}
            if own:
                found[view, source] = _checked(own, FEATURES[source], outputs + POSE, start)
    return found


def _checked(own: Mapping[str, NDArray[Any]], inputs: int, numbers: int, name: str) -> OutlineReader:
    layers = sum(key.startswith("weight_") for key in own)
    try:
        arrays = {key: array.astype(np.float32) for key, array in own.items()}
        weights = tuple(arrays[f"weight_{n}"] for n in range(layers))
        biases = tuple(arrays[f"bias_{n}"] for n in range(layers))
        network = OutlineNetwork(arrays["mean"], arrays["sd"], weights, biases)
        covariance = arrays["covariance"].astype(np.float64)
    except KeyError as error:
        raise InputError(f"{name}: {error} is missing; get the model again") from error
    widths = [inputs, *(len(bias) for bias in biases)]
    fits = network.mean.shape == network.sd.shape == (inputs,) and layers > 0 and widths[-1] == 2
    fits = fits and all(w.shape == shape for w, shape in zip(weights, pairwise(widths), strict=True))
    if not fits or covariance.shape != (numbers, numbers):
        raise InputError(f"{name}: its arrays do not fit each other or the shape codes; get the model again")
    finite = all(np.isfinite(array).all() for array in arrays.values())
    if not finite or (network.sd <= 0).any() or np.linalg.eigvalsh((covariance + covariance.T) / 2)[0] <= 0:
        raise InputError(f"{name}: weights or covariance are not usable numbers; get the model again")
    return OutlineReader(network, (covariance + covariance.T) / 2)
