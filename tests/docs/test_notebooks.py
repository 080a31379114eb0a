"""The notebooks of the documentation, run from their jupytext sources as a reader would run them, cell after cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.docs_hooks import docs_hooks

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = ["one_film", "drr_and_gradient", "register_a_ct", "virtual_cohort", "honest_evaluation"]


def test_all_notebooks_are_known_and_have_a_page():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(NAMES)
    site = (FOLDER.parents[1] / "mkdocs.yml").read_text()
    assert all(f"notebooks/{name}.md" in site for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name, tmp_path, monkeypatch, capsys):
    """Each checks itself with assertions; what a cell prints is something."""
    monkeypatch.chdir(tmp_path)
    if name == "virtual_cohort":
        pytest.importorskip("torch")
    names: dict[str, object] = {"__name__": "__main__"}
    cells = docs_hooks().notebook_cells((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    assert [kind for kind, _ in cells].count("markdown") >= 3
    for number, (kind, cell) in enumerate(cells):
        if kind == "code":
            exec(compile(cell, f"{name}.py, cell {number}", "exec"), names)
    assert capsys.readouterr().out.strip()


def test_the_sources_are_notebooks_to_jupytext():
    """What jupytext makes of them has the same cells."""
    jupytext = pytest.importorskip("jupytext")
    for name in NAMES:
        path = FOLDER / f"{name}.py"
        read = jupytext.read(path)
        ours = docs_hooks().notebook_cells(path.read_text(encoding="utf-8"))
        assert [cell.cell_type for cell in read.cells] == [kind for kind, _ in ours]
