"""3D networks on back-projected images: every voxel of the label grid sees the pixel onto which it falls.

As in the xrayto3D-benchmark, networks for segmentation then read the volume as if it were a scan: an attention U-Net
and a Swin UNETR, both MONAI's. They are trained on the CT-DRRs of the training patients and their labels, with cross
entropy as the TL net is. The pose is the nominal one: what a wrist is turned by, the network has to read by itself.

Sources: Shakya and Khanal 2024, doi:10.48550/arXiv.2309.13587 (benchmark); Oktay et al. 2018, arXiv:1804.03999;
Hatamizadeh et al. 2022, doi:10.1007/978-3-031-08999-2_22.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonelift.errors import InputError
from bonelift.experiments.methods.nominal import film_places
from bonelift.experiments.methods.on_ct_drrs import CtDrrs, Lesson, monai_nets, train_on_ct_drrs
from bonelift.experiments.own_methods import TrainingFold
from bonelift.extras import is_there, missing
from bonelift.images import LabelGrid
from bonelift.images.volume import BONES
from bonelift.learning import losses
from bonelift.learning.tl import label_metrics, labels_from_occupancy
from bonelift.networks.own_network import WristImage
from bonelift.networks.tl_embedding import DRR_SCALE
from bonelift.networks.views import VIEW_CODES
from bonelift.reconstruction.bones import bone_surface
from bonelift.surface.mesh import TriangleMesh

CHANNELS, CLASSES = 4, 3
"""In: back-projected image, place along x and y (without which a convolution cannot tell depth), view. Out: background,
radius, ulna."""
BATCH = 2
MakeNetwork = Callable[[], nn.Module]


def attention_unet() -> nn.Module:
    """Four levels of 8 to 64 channels: about 0.6 million weights."""
    return monai_nets().AttentionUnet(3, CHANNELS, CLASSES, channels=(8, 16, 32, 64), strides=(2, 2, 2))


def swin_unetr() -> nn.Module:
    """The smallest that its blocks allow; about 4 million weights."""
    if not is_there("einops"):  # MONAI imports it at the first forward pass, hours later.
        raise missing("einops", "this method")
    return monai_nets().SwinUNETR(CHANNELS, CLASSES, feature_size=12, spatial_dims=3)


class BackProjection(nn.Module):
    """(N, 1, H, W) images / DRR_SCALE and views (N,) to (N, CHANNELS, I, J, K), filled up to a ``multiple``."""

    def __init__(self, grid: LabelGrid, film_shape: tuple[int, int], multiple: int) -> None:
        super().__init__()
        rows, columns = film_shape
        size = torch.tensor([columns, rows], dtype=torch.float32)
        places = torch.stack([torch.from_numpy(film_places(grid, view)) for view in VIEW_CODES])
        # grid_sample counts from -1 to 1 across the outer edges of the picture.
        self.register_buffer("places", (2 * places + 1) / size - 1)
        x = torch.linspace(-1, 1, grid.shape[0])[:, None, None].expand(grid.shape)
        y = torch.linspace(-1, 1, grid.shape[1])[None, :, None].expand(grid.shape)
        self.register_buffer("place", torch.stack([x, y])[None])
        self.padding = [side for n in reversed(grid.shape) for side in (0, -n % multiple)]

    def forward(self, image: Tensor, view: Tensor) -> Tensor:
        places: Tensor = self.get_buffer("places")[view.long()]
        count, i, j, k, _ = places.shape
        seen = functional.grid_sample(image, places.reshape(count, i, j * k, 2), align_corners=False)
        seen = seen.reshape(count, 1, i, j, k)
        place = self.get_buffer("place").expand(count, -1, -1, -1, -1)
        which = view.to(seen.dtype).reshape(-1, 1, 1, 1, 1).expand_as(seen)
        return functional.pad(torch.cat([seen, place, which], dim=1), self.padding)


@dataclass(frozen=True, eq=False)
class _Volumes:
    """A network on back-projected images, of one grid."""

    project: BackProjection
    network: nn.Module
    grid: LabelGrid
    updates: int = 0

    def logits(self, drr: np.ndarray, view: np.ndarray) -> Tensor:
        """(N, CLASSES, I, J, K) of line integrals (N, H, W)."""
        image = torch.from_numpy(drr.astype(np.float32))[:, None] / DRR_SCALE
        i, j, k = self.grid.shape
        return self.network(self.project(image, torch.from_numpy(view)))[:, :, :i, :j, :k]

    @torch.no_grad()
    def __call__(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """Bones of one image, or of several by the mean of their fields."""
        fields = []
        for image in images:
            if image.drr is None:
                raise InputError("back-projection: there is no bone-only image")
            logits = self.logits(image.drr[None], np.array([VIEW_CODES[image.view]], np.uint8))
            fields.append(logits.softmax(dim=1)[0, 1:].numpy())
        mean = np.mean(fields, axis=0)
        return {bone: bone_surface(field, self.grid) for bone, field in zip(BONES, mean, strict=True)}


def train_volumes(fold: TrainingFold, make: MakeNetwork, name: str, multiple: int) -> _Volumes:
    """Train a network of ``make`` on the fold's CT-DRRs, or go on; as many updates as the predictor of the TL net."""
    with torch.random.fork_rng():
        torch.manual_seed(fold.seed)
        network = make()
    projection = BackProjection(fold.grid, fold.preset.tl.film_shape, multiple)
    volumes = _Volumes(projection, network, fold.grid)

    def seen(held: CtDrrs, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        labels = labels_from_occupancy(held.occupancy[held.patient[rows]])
        return volumes.logits(held.drr[rows], held.view[rows]), labels

    lesson = Lesson(
        BATCH,
        lambda held, rows: losses.cross_entropy(*seen(held, rows)),
        lambda held, rows: label_metrics(*seen(held, rows)),
    )
    return replace(volumes, updates=train_on_ct_drrs(fold, network, name, lesson))
