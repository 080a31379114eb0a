"""Faults of scripts/mutation_operators.py: each changes one place, compiles, and keeps its number when lines move."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SOURCE = '''"""A module."""
LIMIT = 2.5


def scaled(values, factor=3, *, strict=True):
    """Words stay."""
    if factor < 0 or not values:
        raise ValueError(f"factor is {factor + 1}")
    total = values[0] - factor * LIMIT
    return total, min(factor, total)
'''
EXPECTED = {
    ("constant", "2.5", "5.0"),
    ("constant", "3", "4"),
    ("boolean", "True", "False"),
    ("comparison", " < ", " <= "),
    ("comparison", " < ", " >= "),
    ("constant", "0", "1"),
    ("boolean", "factor < 0 or not values", "((factor < 0) and (not values))"),
    ("boolean", "factor < 0 or not values", "not (factor < 0 or not values)"),
    ("boolean", "not values", "(values)"),
    ("sign", "values[0] - factor * LIMIT", "(values[0]) + (factor * LIMIT)"),
    ("dropped term", "values[0] - factor * LIMIT", "(values[0])"),
    ("sign", "factor * LIMIT", "(factor) / (LIMIT)"),
    ("dropped term", "factor * LIMIT", "(factor)"),
    ("return", "total, min(factor, total)", "(min(factor, total), total)"),
    ("swapped arguments", "factor, total", "total, factor"),
}


@pytest.fixture
def operators(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    monkeypatch.delitem(sys.modules, "mutation_operators", raising=False)
    import mutation_operators

    return mutation_operators


def test_every_fault_is_one_place_of_code_and_none_is_a_word(operators, tmp_path):
    path = tmp_path / "scaled.py"
    path.write_text(SOURCE)
    faults = operators.faults_of(path, tmp_path, seed=1)
    assert {(fault.kind, fault.old, fault.new) for fault in faults} == EXPECTED
    for fault in faults:
        faulty = fault.put_into(SOURCE.encode()).decode()
        compile(faulty, "faulty", "exec")
        assert faulty == SOURCE[: fault.start] + fault.new + SOURCE[fault.end :]
        assert SOURCE[fault.start : fault.end] == fault.old
    scopes = {fault.old: fault.scope for fault in faults}
    assert (scopes["2.5"], scopes["3"], scopes["factor * LIMIT"]) == ("module", "module", "line")


def test_a_sample_stays_when_lines_move_and_another_seed_draws_another(operators, tmp_path):
    path = tmp_path / "scaled.py"
    path.write_text(SOURCE)
    before = {fault.name.partition(" ")[2]: fault.order for fault in operators.faults_of(path, tmp_path, 1)}
    path.write_text("# A line more.\n" + SOURCE)
    assert {fault.name.partition(" ")[2]: fault.order for fault in operators.faults_of(path, tmp_path, 1)} == before
    other = {fault.name.partition(" ")[2]: fault.order for fault in operators.faults_of(path, tmp_path, 2)}
    assert other.keys() == before.keys()
    assert all(other[name] != before[name] for name in before)


def test_compiled_code_is_told_apart(operators, tmp_path):
    path = tmp_path / "kernel.py"
    path.write_text("import numba\n\n\n@numba.njit(cache=True)\ndef twice(x):\n    return x * 2\n")
    assert {fault.scope for fault in operators.faults_of(path, tmp_path, 1)} == {"kernel"}
