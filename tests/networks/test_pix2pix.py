"""Generator and discriminator: shapes, ranges, gradients."""

import pytest
import torch

from bonelift.errors import InputError
from bonelift.networks.pix2pix import Discriminator, Generator, Pix2pixConfig
from builders.toy_cohort import PIX2PIX

VIEW = torch.tensor([0, 1])


def test_generator_gives_line_integrals_that_are_not_negative():
    torch.manual_seed(0)
    generator = Generator(PIX2PIX).eval()
    drr = generator(torch.rand(2, 1, 32, 32), VIEW)
    assert drr.shape == (2, 1, 32, 32)
    assert drr.min() >= 0


def test_gradients_reach_every_parameter_of_both():
    torch.manual_seed(0)
    generator, discriminator = Generator(PIX2PIX), Discriminator(PIX2PIX)
    film = torch.rand(2, 1, 32, 32)
    logits = discriminator(film, VIEW, generator(film, VIEW))
    (logits * torch.randn_like(logits)).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_a_patch_of_the_discriminator_is_70_pixels_wide():
    torch.manual_seed(0)
    discriminator = Discriminator(Pix2pixConfig(discriminator_channels=2)).eval()
    film = torch.rand(1, 1, 160, 128)
    drr = torch.rand(1, 1, 160, 128, requires_grad=True)
    logits = discriminator(film, torch.tensor([0]), drr)
    assert logits.shape == (1, 1, 18, 14)
    logits[0, 0, 9, 7].backward()
    assert drr.grad is not None
    touched = drr.grad[0, 0].abs() > 0
    assert int(touched.any(1).sum()) == 70
    assert int(touched.any(0).sum()) == 70


def test_dropout_is_only_in_the_three_deepest_layers_up():
    generator = Generator(Pix2pixConfig())
    dropped = [any(isinstance(m, torch.nn.Dropout) for m in layer.modules()) for layer in generator.up]
    assert dropped == [True, True, True, False]


@pytest.mark.parametrize("bad", [{"generator_channels": (8,)}, {"dropout": 1.0}])
def test_impossible_sizes_are_refused(bad):
    with pytest.raises(InputError, match="Pix2pixConfig"):
        Pix2pixConfig(**bad)
