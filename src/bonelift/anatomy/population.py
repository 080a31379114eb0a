"""Draws virtual wrists from the shape model.

Size (by sex) and the modes of the real bones; random fields of several lengths, for eight bones do not hold what a
ninth has; named deformations that move clinical angles and lengths to the published means; then the ulna is turned and
set in the sigmoid notch, and the wrist is expressed in the radius frame of its own landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy import deformations as deform
from bonelift.anatomy.forearm import UlnaPlacing, place_ulna
from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.localised_modes import shortened_shaft
from bonelift.anatomy.statistical_shape import BoneModel, Sex, ShapeModel, WristShape
from bonelift.geometry import apply_transform, rigid_between, translation
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Detail:
    """How one bone varies beyond size and the named changes; set on left-out real bones (docs/results/shape-model.md).

    mode_gain: factor on the modes of the localised covariance. field_lengths_mm, field_sds_mm: Gaussian random fields
    added to them: correlation length and SD along the normal. distal_gain: factor on the last of them at the joint end,
    where lips, styloids, notch and Lister's tubercle are. tangential: the fields' share across the normal.
    """

    mode_gain: float
    field_lengths_mm: tuple[float, ...]
    field_sds_mm: tuple[float, ...]
    distal_gain: float
    tangential: float = 0.5


@dataclass(frozen=True)
class Spread:
    """Standard deviations over adults, except where a name says otherwise.

    width_held: share of the modes' and fields' effect on the radius' width and depth that is taken back, for these
    spread as published while detail spreads as on real bones. flare_deg: palmar cortex of the metaphysis turned
    outwards; with the means of width, depth, inclination, tilt and ulnar head (relative) it moves our few bones to the
    published means.
    """

    scale_female: float = 0.968
    scale_male: float = 1.032
    scale_sd: float = 0.024
    ulna_scale_sd: float = 0.012
    width_mean: float = -0.01
    depth_mean: float = -0.03
    width_held: float = 1.0
    radius: Detail = Detail(0.5, (20.0, 10.0, 5.0), (0.6, 0.55, 0.25), distal_gain=2.0)
    ulna: Detail = Detail(0.75, (20.0, 10.0, 5.0), (0.5, 0.45, 0.42), distal_gain=1.6)
    inclination_mean_deg: float = 1.0
    inclination_deg: float = 0.5
    palmar_tilt_mean_deg: float = 3.0
    palmar_tilt_deg: float = 0.5
    flare_deg: float = 2.0
    head_mean: float = 0.05
    head: float = 0.03
    girth: float = 0.04
    bow_mm: float = 2.0
    rotation_deg: float = 18.0
    rotation_limit_deg: float = 60.0
    variance_mm: float = 0.9
    head_slide_mm: float = 1.0
    ulna_tilt_deg: float = 2.0
    gap_mm: tuple[float, float] = (1.1, 2.4)


SPREAD = Spread()

SLIDE_MM_PER_DEG = 0.05
"""The ulnar head lies palmar in the notch in supination, dorsal in pronation (mm per degree of rotation)."""

EDGE_MM = 2.0
"""How far about a landmark the bone's edge is averaged, where width and depth are held."""


def draw_wrist(model: ShapeModel, rng: np.random.Generator, sex: Sex | None, spread: Spread = SPREAD) -> WristShape:
    """One wrist; redrawn (at most 20 times) where the surface folds."""
    chosen: Sex = sex if sex is not None else ("female", "male")[int(rng.integers(2))]
    for _ in range(20):
        wrist = _attempt(model, rng, chosen, spread)
        if wrist is not None:
            return wrist
    raise RuntimeError("20 draws in a row folded; the shape model is damaged: rebuild it")


def draw_bones(
    model: ShapeModel, rng: np.random.Generator, sex: Sex, spread: Spread = SPREAD
) -> tuple[TriangleMesh, TriangleMesh, dict[str, float]] | None:
    """Radius and ulna of one person, not yet set beside each other, and what was drawn; None where a surface folds."""
    facts: dict[str, float] = {"size": _size(rng, sex, spread)}
    facts["ulna_size"] = facts["size"] * float(1 + spread.ulna_scale_sd * rng.normal())
    radius = _scaled(model.radius, _radius_offset(model, rng, spread, facts), facts["size"], np.zeros(3))
    pivot = model.landmarks["ulnar_head_centre"]
    ulna = _scaled(model.ulna, _ulna_offset(model, rng, spread, facts), facts["ulna_size"], pivot)
    if _folded(radius, model.radius.mean) or _folded(ulna, model.ulna.mean):
        return None
    return radius, ulna, facts


def _attempt(model: ShapeModel, rng: np.random.Generator, sex: Sex, spread: Spread) -> WristShape | None:
    bones = draw_bones(model, rng, sex, spread)
    if bones is None:
        return None
    radius, ulna, facts = bones
    pivot = model.landmarks["ulnar_head_centre"]
    ulna = ulna.transformed(translation((facts["size"] - 1) * pivot))
    head = facts["size"] * pivot
    rotation_deg = float(np.clip(rng.normal(0, spread.rotation_deg), *np.array([-1, 1]) * spread.rotation_limit_deg))
    placing = UlnaPlacing(
        rotation_deg=rotation_deg,
        slide_mm=1.2 + float(spread.head_slide_mm * rng.normal()) + SLIDE_MM_PER_DEG * rotation_deg,
        proximal_mm=float(0.4 + spread.variance_mm * rng.normal()),
        tilt_deg=(float(spread.ulna_tilt_deg * rng.normal()), float(spread.ulna_tilt_deg * rng.normal())),
        gap_mm=float(rng.uniform(*spread.gap_mm)),
    )
    facts |= {"forearm_rotation_deg": rotation_deg, "joint_gap_mm": placing.gap_mm}
    moved = place_ulna(radius, ulna, head, placing)
    if moved is None:
        return None
    expected = _carried(model, radius, moved)
    found = find_landmarks(radius, moved, expected)
    found["ulnar_head_centre"] = expected["ulnar_head_centre"]
    radius_from_model = radius_from_mesh(radius, found["radial_styloid_tip"], found["sigmoid_notch_volar"])
    return WristShape(
        radius.transformed(radius_from_model),
        moved.transformed(radius_from_model),
        {name: apply_transform(radius_from_model, point) for name, point in found.items()},
        sex,
        float(np.clip(rng.normal(45, 16), 18, 85)),
        facts,
    )


def turned_wrist(wrist: WristShape, change_deg: float) -> WristShape | None:
    """The same bones in another forearm rotation: ``change_deg`` further towards supination; None where they collide.

    The radius and its landmarks stay exactly; the ulna moves rigidly and slides in the notch as it does between wrists.
    """
    head = wrist.landmarks["ulnar_head_centre"]
    gap_mm = wrist.description["joint_gap_mm"]
    placing = UlnaPlacing(change_deg, SLIDE_MM_PER_DEG * change_deg, 0.0, (0.0, 0.0), gap_mm)
    ulna = place_ulna(wrist.radius, wrist.ulna, head, placing)
    if ulna is None:
        return None
    new_from_old = rigid_between(wrist.ulna.vertices, ulna.vertices)
    landmarks = {
        name: apply_transform(new_from_old, point) if name.startswith("ulnar") else point
        for name, point in wrist.landmarks.items()
    }
    rotation_deg = wrist.description["forearm_rotation_deg"] + change_deg
    return replace(
        wrist,
        ulna=ulna,
        landmarks=landmarks,
        description=wrist.description | {"forearm_rotation_deg": rotation_deg},
    )


def _size(rng: np.random.Generator, sex: Sex, spread: Spread) -> float:
    mean = spread.scale_female if sex == "female" else spread.scale_male
    return float(mean * (1 + spread.scale_sd * np.clip(rng.normal(), -2.5, 2.5)))


@lru_cache(maxsize=16)
def _field_places(bone: BoneModel) -> tuple[Float, Float]:
    """(V, 3) where the random fields are read, the shaft drawn together, and (V, 3) smooth normals of the mean bone."""
    normals = bone.mean.vertex_normals
    near = bone.mean.faces
    for _ in range(3):
        summed = normals.copy()
        for corner in range(3):
            np.add.at(summed, near[:, corner], normals[near].sum(axis=1))
        normals = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    return shortened_shaft(bone.mean.vertices), normals


def _scaled(bone: BoneModel, offset: Float, scale: float, pivot: Float) -> TriangleMesh:
    return TriangleMesh(pivot + scale * (bone.mean.vertices + offset - pivot), bone.mean.faces)


def _detail(bone: BoneModel, rng: np.random.Generator, detail: Detail) -> Float:
    """(V, 3) displacements: the modes of the real bones and the random fields."""
    weights = detail.mode_gain * np.clip(rng.normal(size=len(bone.modes)), -2.5, 2.5)
    offset = np.tensordot(weights.astype(np.float32), bone.modes, axes=1).astype(np.float64)
    places, normals = _field_places(bone)
    fields = [
        deform.random_field(rng, places, length_mm, sd_mm, waves=80)
        for length_mm, sd_mm in zip(detail.field_lengths_mm, detail.field_sds_mm, strict=True)
    ]
    fields[-1] *= 1 + (detail.distal_gain - 1) * deform.smooth_step(places[:, 2], -12.0, -3.0)[:, None]
    field = np.sum(fields, axis=0)
    along = (field * normals).sum(axis=1, keepdims=True) * normals
    return offset + along + detail.tangential * (field - along)


def _radius_offset(model: ShapeModel, rng: np.random.Generator, spread: Spread, facts: dict[str, float]) -> Float:
    """(V, 3) displacements of the radius before its size; what was drawn by name goes into ``facts``."""
    v = model.radius.mean.vertices
    inclination, tilt, thickness = np.clip(rng.normal(size=3), -2.5, 2.5)
    facts["inclination_change_deg"] = spread.inclination_mean_deg + spread.inclination_deg * float(inclination)
    facts["palmar_tilt_change_deg"] = spread.palmar_tilt_mean_deg + spread.palmar_tilt_deg * float(tilt)
    offset = _detail(model.radius, rng, spread.radius)
    width, depth = _broadening(model, offset)
    offset += deform.widen(
        v, spread.width_mean - spread.width_held * width, spread.depth_mean - spread.width_held * depth, (3.0, 0.0)
    )
    offset += deform.tilt_joint(
        v, np.deg2rad(facts["inclination_change_deg"]), np.deg2rad(facts["palmar_tilt_change_deg"])
    )
    offset += deform.flare_palmar(v, np.deg2rad(spread.flare_deg))
    offset += deform.girth(v, (0.0, 0.0), spread.girth * float(thickness))
    return offset + deform.bow_shaft(v, *(spread.bow_mm * rng.normal(size=2)))


def _broadening(model: ShapeModel, offset: Float) -> tuple[float, float]:
    """Relative change by ``offset`` of the radius' width (styloid to notch's volar edge) and depth (rim to rim)."""
    v, changes = model.radius.mean.vertices, []
    for axis, low, high in ((0, "radial_styloid_tip", "sigmoid_notch_volar"), (1, "dorsal_rim", "volar_rim")):
        start, end = model.landmarks[low], model.landmarks[high]
        moved = [np.average(offset, axis=0, weights=deform.bump(v, point, EDGE_MM)) for point in (start, end)]
        changes.append(float((moved[1] - moved[0])[axis] / (end - start)[axis]))
    return changes[0], changes[1]


def _ulna_offset(model: ShapeModel, rng: np.random.Generator, spread: Spread, facts: dict[str, float]) -> Float:
    """(V, 3) displacements of the ulna before its size; what was drawn by name goes into ``facts``."""
    v, centre = model.ulna.mean.vertices, model.landmarks["ulnar_head_centre"]
    head, thickness = np.clip(rng.normal(size=2), -2.5, 2.5)
    facts["ulnar_head_change"] = spread.head_mean + spread.head * float(head)
    offset = _detail(model.ulna, rng, spread.ulna)
    offset += deform.swell(v, centre, 9.0, facts["ulnar_head_change"])
    offset += deform.girth(v, centre, spread.girth * float(thickness))
    return offset + deform.bow_shaft(v, *(spread.bow_mm * rng.normal(size=2)))


def _folded(mesh: TriangleMesh, mean: TriangleMesh) -> bool:
    """True where a face turned by more than about 100 degrees against the mean bone: the surface crosses itself."""
    turned, straight = mesh.area_normals_mm2, mean.area_normals_mm2
    cosine = (turned * straight).sum(1)
    limit = -0.2 * np.linalg.norm(turned, axis=1) * np.linalg.norm(straight, axis=1)
    return bool((cosine < limit).any())


def _carried(model: ShapeModel, radius: TriangleMesh, ulna: TriangleMesh) -> dict[str, Float]:
    """Where the mean wrist's landmarks went: surface points with their vertex, the head's centre with its surface."""
    carried = {}
    for name, point in model.landmarks.items():
        bone, mesh = (model.ulna, ulna) if name.startswith("ulnar") else (model.radius, radius)
        if name == "ulnar_head_centre":
            weights = deform.bump(bone.mean.vertices, point, 5.0)
            weights /= weights.sum()
            carried[name] = _affine_image(bone.mean.vertices, mesh.vertices, weights, point)
        else:
            carried[name] = mesh.vertices[np.argmin(((bone.mean.vertices - point) ** 2).sum(1))]
    return carried


def _affine_image(source: Float, target: Float, weights: Float, point: Float) -> Float:
    """Image of ``point`` under the weighted least-squares affine map of ``source`` (V, 3) onto ``target`` (V, 3)."""
    a, b = weights @ source, weights @ target
    map_t, *_ = np.linalg.lstsq((source - a) * np.sqrt(weights)[:, None], (target - b) * np.sqrt(weights)[:, None])
    return b + (point - a) @ map_t
