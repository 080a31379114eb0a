"""A stage of training whose result two processes must agree on; they find it here by name."""

import os

import numpy as np
import torch
from torch import nn

from bonelift.learning.distributed import process_group
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import clip_and_update


def sum_stage(batch):
    """Least squares without dropout or batch normalisation: gradients of parts add up exactly."""
    torch.manual_seed(7)
    network = nn.Linear(3, 1)
    optimiser = torch.optim.Adam(network.parameters())
    points = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)

    def step(samples, generator, progress):
        chosen = torch.from_numpy(samples[generator.integers(0, 200, batch)])
        loss = (network(chosen) - chosen.sum(1, keepdim=True) ** 2).square().mean()
        clip_and_update(loss, optimiser, list(network.parameters()), 1e9)
        return {"loss": loss.item()}

    return Stage("sum", {"n": network}, {"adam": optimiser}, lambda held: points, step, dict, {}), network


def train_in_two_processes(number, port, folder):
    os.environ.update(
        RANK=str(number), LOCAL_RANK=str(number), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    with process_group("cpu"):
        for pause in (4, None):
            stage, network = sum_stage(4)
            train(stage, LoopConfig(10, 1e-2, log_every=2), folder, pause_after_updates=pause)
        torch.save(network.state_dict(), folder / f"weights-{number}.pt")
