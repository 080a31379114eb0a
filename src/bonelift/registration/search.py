"""Global search by CMA-ES over batches of candidates, so that the costs of a generation are computed together."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@contextmanager
def _not_importable(name: str) -> Iterator[None]:
    """Within, ``import name`` raises ImportError, unless it has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # pyright: ignore[reportArgumentType] - what the import system takes as "not there"
    try:
        yield
    finally:
        del sys.modules[name]


with warnings.catch_warnings(), _not_importable("scipy.stats"):
    # pycma warns on import where matplotlib, which only its own plots need, is not installed; and it takes one function
    # of scipy.stats, whose import lasts longer than a search, or else its own.
    warnings.simplefilter("ignore", UserWarning)
    import cma

Float = NDArray[np.float64]
BatchCost = Callable[[Float], Float]


@dataclass(frozen=True)
class SearchResult:
    """best: (D,) parameters in the caller's units; cost there; how many candidates were tried."""

    best: Float
    cost: float
    evaluations: int


def cma_search(
    cost: BatchCost,
    start: Float,
    scale: Float,
    rng: np.random.Generator,
    population: int = 16,
    generations: int = 25,
    tolerance: float = 1e-4,
) -> SearchResult:
    """Minimise ``cost`` from ``start``.

    cost: (N, D) candidates to (N,) finite costs.
    scale: (D,) first standard deviation of each parameter.
    tolerance: the search ends early when the costs of a generation and of recent ones differ by less.
    Source: Hansen 2016, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772; the code is pycma.
    """
    options = {
        "popsize": population,
        "maxiter": generations,
        "tolfun": tolerance,
        "verbose": -9,
        "verb_log": 0,
        "seed": np.nan,  # NaN: pycma leaves numpy's global generator alone
        "randn": lambda *shape: rng.standard_normal(shape),
    }
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(start)), 1.0, options)
    while not strategy.stop():
        candidates = strategy.ask()
        strategy.tell(candidates, cost(start + np.asarray(candidates) * scale).tolist())
    found = strategy.result
    return SearchResult(start + np.asarray(found.xbest) * scale, float(found.fbest), int(found.evaluations))
