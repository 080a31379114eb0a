"""Virtual patients of another population: carried through to the samples, told apart from those of the packaged one."""

from dataclasses import replace

import numpy as np
import pytest

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.statistical_shape import BoneModel, ShapeModel, save_model
from bonelift.errors import InputError
from bonelift.images.volume import LAPTOP_GRID
from bonelift.learning import virtual_samples
from bonelift.learning.samples import ShapeSamples, SurfaceSamples, load_samples
from bonelift.learning.virtual_source import POPULATION_FILE, VirtualSource, claim_population, virtual_source
from bonelift.surface.mesh import TriangleMesh

SEED = 700_040
WIDER = 1.2
"""Of the other population: all of its bones are larger by this."""


def larger(bone: BoneModel) -> BoneModel:
    return BoneModel(TriangleMesh(WIDER * bone.mean.vertices, bone.mean.faces), bone.modes)


@pytest.fixture(scope="module")
def others() -> ShapeModel:
    """The packaged model, larger, as if built without somebody."""
    known = load_shape_model()
    landmarks = {name: WIDER * point for name, point in known.landmarks.items()}
    return ShapeModel(larger(known.radius), larger(known.ulna), landmarks, without=("Somebody",))


def source(folder, model=None) -> VirtualSource:
    seeds = {part: range(SEED, SEED + 1) for part in ("shapes", "bones", "samples", "films", "validation")}
    made = VirtualSource(folder, LAPTOP_GRID, seeds, films=1, images=0, drrs=1, unseen_films=1)
    return made if model is None else replace(made, shape_model=model)


def test_who_was_left_out_is_kept_in_the_file_of_a_shape_model(tmp_path, others):
    save_model(tmp_path / "others.npz", others)
    read = load_shape_model(tmp_path / "others.npz")
    assert read.without == ("Somebody",)
    assert load_shape_model().without == ()
    assert read.digest() != load_shape_model().digest()
    # A second reading is the same model; one point moved by a tenth of a millimetre is another.
    again = load_shape_model.__wrapped__(tmp_path / "others.npz")
    assert again.digest() == read.digest()
    vertices = read.radius.mean.vertices.copy()
    vertices[0, 0] += 0.1
    other = replace(read, radius=BoneModel(TriangleMesh(vertices, read.radius.mean.faces), read.radius.modes))
    assert other.digest() != read.digest()


def test_bones_are_of_the_population_asked_for(tmp_path, others):
    widths = {}
    for name, model in (("packaged", None), ("others", others)):
        source(tmp_path / name, model).make_part("bones")
        widths[name] = np.ptp(load_samples(tmp_path / name / "bones", SurfaceSamples).radius[0], axis=0)[0]
    # The same seed draws the same person. Modes and fields, some 5 % of the width, are not scaled with the mean.
    assert widths["others"] / widths["packaged"] == pytest.approx(WIDER, abs=0.05)


def test_shapes_are_of_the_population_asked_for(tmp_path, others):
    filled = {}
    for name, model in (("packaged", None), ("others", others)):
        source(tmp_path / name, model).make_part("shapes")
        filled[name] = load_samples(tmp_path / name / "shapes", ShapeSamples).occupancy.mean()
    # Both reach beyond the grid's end along the shaft, so the larger fills more by the square of its size, or nearly.
    assert filled["others"] / filled["packaged"] > 1.2


@pytest.mark.parametrize("part", ["samples", "films", "validation"])
def test_patients_with_films_are_of_the_population_asked_for(tmp_path, others, part, monkeypatch):
    """Who makes them is given the model; the patients themselves would take a minute."""
    given = []
    monkeypatch.setattr(virtual_samples, "made_in_chunks", lambda make, *_: given.append(make.keywords["model"]) or [])
    source(tmp_path, others).make_part(part)
    assert [model.without for model in given] == [("Somebody",)]


def test_samples_of_another_population_are_refused(tmp_path, others):
    claim_population(tmp_path / "bones", load_shape_model())
    with pytest.raises(InputError, match=r"bones: holds virtual patients of another population \(.*nobody\).*Somebody"):
        source(tmp_path, others).make_part("bones")
    with pytest.raises(InputError, match="another population"):
        source(tmp_path, others).folders("bones")
    source(tmp_path).folders("bones")


def test_samples_that_do_not_say_their_population_are_of_the_packaged_one(tmp_path, others):
    bones = tmp_path / "bones"
    bones.mkdir()
    (bones / "drrs-00000").mkdir()
    claim_population(bones, load_shape_model())
    (bones / POPULATION_FILE).unlink()
    with pytest.raises(InputError, match="another population"):
        source(tmp_path, others).make_part("bones")


def test_the_card_says_the_population(tmp_path, others):
    made = virtual_source(tmp_path, 3, 1, LAPTOP_GRID)
    assert made.facts()["population"] == {"shape model": load_shape_model().digest(), "without": []}
    assert source(tmp_path, others).facts()["population"]["without"] == ["Somebody"]
