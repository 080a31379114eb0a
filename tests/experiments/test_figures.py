"""Figures of a run appear whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bonelift.experiments.results.figures import pyplot, save_figure


class Broken:
    """A figure whose writing ends half-way."""

    def savefig(self, path, **_):
        path.write_bytes(b"\x89PNG half")
        raise OSError("no space left")


def test_a_figure_that_is_not_written_to_its_end_leaves_the_one_before(tmp_path):
    path, plt = tmp_path / "figure.png", pyplot()
    figure = plt.figure(figsize=(1, 1))
    save_figure(figure, path)
    plt.close(figure)
    before = path.read_bytes()
    assert np.asarray(Image.open(path)).shape[:2] == (110, 110)
    with pytest.raises(OSError, match="no space left"):
        save_figure(Broken(), path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["figure.png"]
