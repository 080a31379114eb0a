"""How sure a film is of a bone's outline: less where the bone is blurred."""

import numpy as np
from scipy.ndimage import gaussian_filter

from bonelift.geometry import apply_transform
from bonelift.images.volume import BONES
from bonelift.networks.inference import read_shape
from bonelift.networks.model import load_model
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.result import Reconstruction


def column_of(name: str, found: Reconstruction) -> float:
    """Where the shaft of a bone lies on the standard film, px."""
    assert found.bones is not None
    vertices = found.bones.surfaces[name].vertices
    shaft = vertices[vertices[:, 2] < -15].mean(axis=0)
    at = apply_transform(found.placed[0].canonical_from_bone[name], shaft[None])[0]
    return float(found.films[0].film.camera.project(at)[0])


def test_a_blurred_ulna_is_told_by_its_outline_alone():
    model = load_model(None)
    found = reconstruct(read_radiographs([load_demo_case().image]), model)
    film, drr = found.films[0].film, found.drrs[0]
    columns = {name: column_of(name, found) for name in BONES}
    # From the middle between the shafts on, softly.
    middle = (columns["radius"] + columns["ulna"]) / 2
    beyond = (np.arange(drr.shape[1]) - middle) * np.sign(columns["ulna"] - columns["radius"])
    share = np.broadcast_to(1 / (1 + np.exp(-beyond / 1.5)), drr.shape)

    def blurred(picture):
        return (1 - share) * picture + share * gaussian_filter(picture.astype(np.float64), 6.0)

    def told(picture_of_drr, picture_of_film):
        (signs,) = read_shape([picture_of_drr], ["pa"], model, [picture_of_film]).outline_signs
        return np.array(signs.sd_px)

    plain = told(drr, film.pixels)
    dim = told(blurred(drr), blurred(film.pixels))
    assert dim[1] > 1.5 * plain[1]
    assert dim[0] < 1.3 * plain[0]
