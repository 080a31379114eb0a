"""A pytest plugin: every seed that a test hands to numpy is shifted, so that a run shows what hangs on one draw.

``pytest -p builders.shifted_seeds --shift-seeds 1000 tests/registration``: ``np.random.default_rng(3)``, called from a
file of tests/, draws as with seed 1003. Code of the package keeps its own seeds. Not part of ``make test``: what such
runs showed stands in docs/results/reliability.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TESTS = str(Path(__file__).parents[1])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shift-seeds", type=int, default=0, help="added to every seed that a test draws from")


def pytest_configure(config: pytest.Config) -> None:
    shift = int(config.getoption("--shift-seeds"))
    if not shift:
        return
    draw = np.random.default_rng

    def shifted(seed: Any = None) -> np.random.Generator:
        of_a_test = sys._getframe(1).f_code.co_filename.startswith(TESTS)
        return draw(seed + shift if of_a_test and isinstance(seed, int) else seed)

    np.random.default_rng = shifted
