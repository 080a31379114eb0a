"""Kernels that compile beside a command: nothing goes on after a failure, and what is compiled is found again."""

import os
import subprocess
import sys

import pytest

from bonelift.cli import warm_up
from bonelift.errors import InputError


def test_a_failure_ends_the_compilation(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    started = []
    start_child = warm_up._start_child
    monkeypatch.setattr(warm_up, "_start_child", lambda: started.append(start_child()) or started[0])
    with pytest.raises(InputError), warm_up.kernels_compiling():
        raise InputError("no such film")
    assert started[0].returncode is not None
    assert started[0].returncode < 0  # ended, and not left to finish


def test_what_the_child_compiled_is_found_and_no_other_is_started(monkeypatch, tmp_path):
    assert not list(tmp_path.iterdir())
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    code = "from bonelift.cli.warm_up import compile_in_child as run; run()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(warm_up, "_start_child", lambda: pytest.fail("compiled twice"))
    with warm_up.kernels_compiling() as kernels:
        kernels.wait()


@pytest.mark.parametrize("cached", [False, True])
def test_beside_a_server_it_is_started_where_needed_and_ends_with_it(monkeypatch, tmp_path, cached):
    started = []
    start = warm_up._start
    monkeypatch.setattr(warm_up, "_projector_is_cached", lambda: cached)
    monkeypatch.setattr(warm_up, "_start", lambda command: started.append(start(command)) or started[-1])
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), warm_up.kernels_compiling_beside():
        raise KeyboardInterrupt
    assert len(started) == (0 if cached else 1)
    assert all(child.returncode is not None for child in started)
