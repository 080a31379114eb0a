"""A shape regressor that starts from another one's weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bonelift.anatomy.shape_basis import BoneBasis, fit_basis
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, rigid_from_vector
from bonelift.learning.warm_start import code_map, start_from, with_film_steps, with_new_steps
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, ShapeRegressor

FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]], np.int32)
POINTS = 10.0 * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=float)


def basis_of(seed: int, modes: int) -> BoneBasis:
    """Octahedra that are stretched, bent and moved a little."""
    rng = np.random.default_rng(seed)
    bones = [
        apply_transform(rigid_from_vector(rng.normal(0, [0.02] * 3 + [0.5] * 3)), POINTS * rng.normal(1, 0.05, (1, 3)))
        + rng.normal(0, 0.05, POINTS.shape)
        for _ in range(40)
    ]
    return fit_basis(np.stack(bones), FACES, modes)


def config(basis: BoneBasis, **changes) -> ShapeConfig:
    return ShapeConfig(2 * basis.length, (4, 8, 8, 16), (1, 1, 1), 16, (32, 32), **changes)


def trained(basis: BoneBasis, **changes) -> ShapeReader:
    torch.manual_seed(1)
    made = config(basis, **changes)
    return ShapeReader(ShapeRegressor(made).eval(), made, basis, basis)


def test_in_the_same_basis_it_reads_the_same():
    old = trained(basis_of(0, 6))
    network = ShapeRegressor(config(old.radius, tells_error=True)).eval()
    start_from(network, old, (old.radius, old.ulna))
    picture, view = torch.rand(2, 1, 32, 32), torch.tensor([0, 1])
    codes, log_sd = network.codes_and_log_sd(picture, view)
    # The map is found by differences of 0.1 SD; placements of some degrees bend it by less than a thousandth.
    torch.testing.assert_close(codes, old.network(picture, view), rtol=2e-3, atol=2e-3)
    assert (log_sd == 0).all()


def test_steps_on_the_film_are_added_and_change_nothing_yet():
    old = trained(basis_of(0, 6), reads_film=True, descent_steps=1, points=4, radius_outputs=basis_of(0, 6).length)
    new = with_film_steps(old, 2)
    assert len(new.network.descent) == 3
    assert with_film_steps(new, 1).network.film_steps == 2
    pictures, view = torch.rand(3, 2, 32, 32), torch.tensor([0, 1, 0])
    torch.testing.assert_close(new.network(pictures, view), old.network(pictures, view))


def test_new_steps_change_nothing_yet():
    old = trained(basis_of(0, 6), reads_film=True, descent_steps=1, points=4, radius_outputs=basis_of(0, 6).length)
    with torch.no_grad():
        for step in old.network.descent:
            step.bias.fill_(0.3)
    new = with_new_steps(old, replace(old.config, descent_steps=2, film_steps=1))
    assert [step.is_fitted for step in new.network.descent] == [False, False, False]
    pictures, view = torch.rand(3, 2, 32, 32), torch.tensor([0, 1, 0])
    first, _ = old.network.first_reading(pictures, view)
    torch.testing.assert_close(new.network(pictures, view), first[:, : old.config.outputs])
    points = new.network.film_points(first, view)
    torch.testing.assert_close(points, old.network.film_points(first, view))


def test_in_another_basis_it_tells_the_same_bone():
    old, new = trained(basis_of(0, 12)), basis_of(7, 12)
    network = ShapeRegressor(config(new)).eval()
    start_from(network, old, (new, new))
    picture, view = torch.rand(1, 1, 32, 32), torch.tensor([0])
    with torch.no_grad():
        ours, theirs = network(picture, view)[0].numpy(), old.network(picture, view)[0].numpy()
    ours, theirs = ours[: new.length], theirs[: old.radius.length]
    # 12 modes of six points leave no shape out (18 numbers, 6 of them rigid): what differs is the second order.
    np.testing.assert_allclose(new.decode(ours).vertices, old.radius.decode(theirs).vertices, atol=0.02)


def test_a_gain_free_one_reads_the_same_at_the_usual_level():
    old = trained(basis_of(0, 6))
    network = ShapeRegressor(config(old.radius, gain_free=True)).eval()
    start_from(network, old, (old.radius, old.ulna), level=2.5)
    picture, view = torch.rand(1, 1, 32, 32), torch.tensor([0])
    picture *= 2.5 / (picture.square().sum() / picture.sum())
    torch.testing.assert_close(network(picture, view), old.network(picture, view), rtol=2e-3, atol=2e-3)


def test_a_film_starts_without_a_say():
    old = trained(basis_of(0, 6))
    network = ShapeRegressor(config(old.radius, reads_film=True)).eval()
    start_from(network, old, (old.radius, old.ulna))
    drr, film, view = torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32), torch.tensor([1])
    expected = old.network(drr, view)
    torch.testing.assert_close(network(torch.cat([drr, film], 1), view), expected, rtol=2e-3, atol=2e-3)


def test_what_does_not_fit_is_said():
    basis = basis_of(0, 6)
    old = trained(basis)
    wider = replace(old.config, hidden=24)
    with pytest.raises(InputError, match="other sizes"):
        start_from(ShapeRegressor(wider), old, (basis, basis))
    other = replace(basis, faces=basis.faces[::-1].copy())
    with pytest.raises(InputError, match="share their points"):
        code_map(basis, other)


def test_a_film_that_is_read_no_more_is_left_out():
    old = trained(basis_of(0, 6), reads_film=True)
    network = ShapeRegressor(config(old.radius)).eval()
    start_from(network, old, (old.radius, old.ulna))
    drr, view = torch.rand(1, 1, 32, 32), torch.tensor([1])
    expected = old.network(torch.cat([drr, torch.zeros_like(drr)], 1), view)
    torch.testing.assert_close(network(drr, view), expected, rtol=2e-3, atol=2e-3)
