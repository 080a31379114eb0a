"""E, D, P: shapes, ranges, gradients, configuration."""

import pytest
import torch

from bonelift.errors import InputError
from bonelift.images import LAPTOP_GRID, PAPER_GRID
from bonelift.networks.tl_embedding import Decoder, Encoder, Predictor, TlConfig, with_view
from builders.toy_cohort import TL


def _gradient_reaches_all(network: torch.nn.Module, output: torch.Tensor) -> None:
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    (output.float() * weights).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_encoder_makes_latents_and_learns_everywhere():
    torch.manual_seed(0)
    encoder = Encoder(TL)
    latent = encoder(torch.rand(3, 3, 16, 16, 16))
    assert latent.shape == (3, 8)
    _gradient_reaches_all(encoder, latent)


def test_decoder_makes_logits_of_the_grid_and_learns_everywhere():
    torch.manual_seed(0)
    decoder = Decoder(TL)
    logits = decoder(torch.randn(3, 8))
    assert logits.shape == (3, 3, 16, 16, 16)
    torch.testing.assert_close(logits.softmax(1).sum(1), torch.ones(3, 16, 16, 16))
    _gradient_reaches_all(decoder, logits)


def test_predictor_makes_latents_and_learns_everywhere():
    torch.manual_seed(0)
    predictor = Predictor(TL)
    latent = predictor(torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 0, 1]))
    assert latent.shape == (4, 8)
    _gradient_reaches_all(predictor, latent)


def test_predictor_sees_view_place_and_gain():
    torch.manual_seed(0)
    predictor = Predictor(TL).eval()
    picture = torch.zeros(1, 1, 32, 32)
    picture[..., 8:14, 8:14] = 1
    pa = torch.tensor([0])
    base = predictor(picture, pa)
    for changed, view in ((picture, torch.tensor([1])), (picture.roll(8, 3), pa), (1.3 * picture, pa)):
        assert (predictor(changed, view) - base).abs().max() > 1e-5  # A hundred times the rounding of float32.


def test_view_channel_is_minus_one_for_pa_and_one_for_lateral():
    both = with_view(torch.zeros(2, 1, 4, 5), torch.tensor([0, 1], dtype=torch.uint8))
    assert both.shape == (2, 2, 4, 5)
    assert both[0, 1].unique().tolist() == [-1.0]
    assert both[1, 1].unique().tolist() == [1.0]


@pytest.mark.parametrize("grid", [LAPTOP_GRID, PAPER_GRID])
def test_default_layers_fit_both_grids(grid):
    with torch.device("meta"):
        config = TlConfig(grid.shape)
        assert Decoder(config)(torch.empty(1, 64)).shape == (1, 3, *grid.shape)
        assert Encoder(config)(torch.empty(1, 3, *grid.shape)).shape == (1, 64)


def test_a_grid_that_cannot_be_halved_is_refused():
    with pytest.raises(InputError, match="multiples of 8"):
        TlConfig(grid_shape=(48, 42, 48))
    with pytest.raises(InputError, match="film_shape"):
        TlConfig(film_shape=(160, 120))
