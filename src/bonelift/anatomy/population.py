"""Draws virtual wrists from the shape model.

Size (by sex) and the modes of the real bones; named deformations that give clinical angles and lengths their
published spread; local variation that no low-rank model holds; then the ulna is turned and set in the sigmoid notch,
and the wrist is expressed in the radius frame of its own landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy import deformations as deform
from bonelift.anatomy.forearm import UlnaPlacing, place_ulna
from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.statistical_shape import BoneModel, Sex, ShapeModel, WristShape
from bonelift.geometry import apply_transform, rigid_between, translation
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Standard deviations over adults, except where a name says otherwise."""

    scale_female: float = 0.96
    scale_male: float = 1.04
    scale_sd: float = 0.028
    ulna_scale_sd: float = 0.025
    male_width: float = 0.012
    mode_gain: float = 0.92
    inclination_deg: float = 1.0
    palmar_tilt_mean_deg: float = 4.0
    palmar_tilt_deg: float = 1.2
    width: float = 0.01
    depth: float = 0.015
    girth: float = 0.06
    bow_mm: float = 2.0
    field_mm: float = 0.2
    field_length_mm: float = 5.0
    rotation_deg: float = 18.0
    rotation_limit_deg: float = 60.0
    variance_mm: float = 0.9
    head_slide_mm: float = 1.0
    ulna_tilt_deg: float = 2.0
    gap_mm: tuple[float, float] = (1.1, 2.4)


SPREAD = Spread()

SLIDE_MM_PER_DEG = 0.05
"""The ulnar head lies palmar in the notch in supination, dorsal in pronation (mm per degree of rotation)."""


def draw_wrist(model: ShapeModel, rng: np.random.Generator, sex: Sex | None, spread: Spread = SPREAD) -> WristShape:
    """One wrist; redrawn (at most 20 times) where the surface folds."""
    chosen: Sex = sex if sex is not None else ("female", "male")[int(rng.integers(2))]
    for _ in range(20):
        wrist = _attempt(model, rng, chosen, spread)
        if wrist is not None:
            return wrist
    raise RuntimeError("20 draws in a row folded; the shape model is damaged: rebuild it")


def _attempt(model: ShapeModel, rng: np.random.Generator, sex: Sex, spread: Spread) -> WristShape | None:
    facts: dict[str, float] = {"size": _size(rng, sex, spread)}
    facts["ulna_size"] = facts["size"] * float(1 + spread.ulna_scale_sd * rng.normal())
    radius = _built(
        model.radius, rng, facts["size"], np.zeros(3), _radius_shape(model, rng, sex, spread, facts), spread
    )
    pivot = model.landmarks["ulnar_head_centre"]
    ulna = _built(model.ulna, rng, facts["ulna_size"], pivot, _ulna_shape(model, rng, spread, facts), spread)
    if _folded(radius, model.radius.mean) or _folded(ulna, model.ulna.mean):
        return None
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


def _built(
    bone: BoneModel, rng: np.random.Generator, scale: float, pivot: Float, named: Float, spread: Spread
) -> TriangleMesh:
    """The mean plus modes, named deformations and a random field; scaled about ``pivot``; details sharpened."""
    vertices = bone.mean.vertices
    weights = spread.mode_gain * np.clip(rng.normal(size=len(bone.modes)), -2.5, 2.5)
    offset = named + np.tensordot(weights, bone.modes, axes=1)
    calm = 1 - 0.6 * (1 - deform.smooth_step(vertices[:, 2], -45.0, -15.0))
    offset += calm[:, None] * deform.random_field(rng, vertices, spread.field_length_mm, spread.field_mm)
    return TriangleMesh(pivot + scale * (vertices + offset - pivot), bone.mean.faces)


def _radius_shape(
    model: ShapeModel, rng: np.random.Generator, sex: Sex, spread: Spread, facts: dict[str, float]
) -> Float:
    """(V, 3) named deformations of the radius; what was drawn goes into ``facts``."""
    v, marks = model.radius.mean.vertices, model.landmarks
    names = ("inclination", "tilt", "width", "depth", "girth")
    draw = {name: float(np.clip(rng.normal(), -2.5, 2.5)) for name in names}
    inclination, tilt = (
        spread.inclination_deg * draw["inclination"],
        spread.palmar_tilt_mean_deg + spread.palmar_tilt_deg * draw["tilt"],
    )
    facts |= {"inclination_change_deg": inclination, "palmar_tilt_change_deg": tilt}
    wide = spread.male_width * (1 if sex == "male" else -1)
    offset = deform.tilt_joint(v, np.deg2rad(inclination), np.deg2rad(tilt))
    offset += deform.widen(v, spread.width * draw["width"] + wide, spread.depth * draw["depth"] + wide, (3.0, 0.0))
    offset += deform.girth(v, (0.0, 0.0), spread.girth * draw["girth"] + wide)
    offset += deform.bow_shaft(v, *(spread.bow_mm * rng.normal(size=2)))
    tubercle = marks["lister_tubercle"] + [1.2 * rng.normal(), 0, 2.0 * rng.normal()]
    offset += deform.push(v, tubercle, rng.uniform(2.2, 3.8), [0.4 * rng.normal(), -0.9 * rng.normal(), 0])
    offset += deform.push(v, marks["radial_styloid_tip"], rng.uniform(3.0, 5.0), rng.normal(size=3) * [0.6, 0.6, 1.0])
    notch = (marks["sigmoid_notch_volar"] + marks["sigmoid_notch_dorsal"]) / 2 - [0, 0, 3.0]
    offset += deform.push(v, notch, rng.uniform(3.0, 5.0), [-0.6 * rng.normal(), 0, 0])
    offset += deform.push(v, marks["sigmoid_notch_volar"], 3.0, rng.normal(size=3) * 0.5)
    return offset + deform.push(v, marks["sigmoid_notch_dorsal"], 3.0, rng.normal(size=3) * 0.5)


def _ulna_shape(model: ShapeModel, rng: np.random.Generator, spread: Spread, facts: dict[str, float]) -> Float:
    """(V, 3) named deformations of the ulna; what was drawn goes into ``facts``."""
    v, marks = model.ulna.mean.vertices, model.landmarks
    head, thickness = rng.normal(size=2)
    facts["ulnar_head_change"] = 0.05 * float(head)
    offset = deform.swell(v, marks["ulnar_head_centre"], 9.0, 0.05 * float(head))
    offset += deform.girth(v, marks["ulnar_head_centre"], spread.girth * float(thickness))
    offset += deform.bow_shaft(v, *(spread.bow_mm * rng.normal(size=2)))
    stretch = rng.normal(size=3) * [0.6, 0.6, 1.1]
    return offset + deform.push(v, marks["ulnar_styloid_tip"], rng.uniform(2.2, 3.5), stretch)


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
