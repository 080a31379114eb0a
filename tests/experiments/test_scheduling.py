"""Pieces run here, in processes and on a Dask cluster; a worker that is lost in the middle costs nothing but time."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.experiments.run.scheduling import Piece, runner
from builders.pieces_of_work import run_waiting_pieces, upper

distributed = pytest.importorskip("distributed")


def pieces(folder: Path, *names: str) -> list[Piece]:
    return [Piece(name, upper, (folder, name)) for name in names]


def collected(run, wanted) -> dict[str, str]:
    results: dict[str, str] = {}
    run(wanted, results.__setitem__)
    return results


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as started:
        yield started


@pytest.mark.parametrize("workers", [1, 2])
def test_pieces_run_on_this_machine(tmp_path, workers):
    with runner(workers=workers) as run:
        assert collected(run, pieces(tmp_path, "one", "two", "three")) == {"one": "ONE", "two": "TWO", "three": "THREE"}


def test_a_users_mistake_ends_the_pieces(tmp_path):
    with runner() as run, pytest.raises(InputError, match="labels hold 7"):
        run(pieces(tmp_path, "wrong", "after"), lambda *_: None)
    assert not (tmp_path / "after").exists()


def test_a_worker_killed_here_is_named(tmp_path):
    with runner(workers=2) as run, pytest.raises(InputError, match="a worker process was killed"):
        run(pieces(tmp_path, "lost", "one"), lambda *_: None)


def test_no_worker_outlives_a_killed_run(tmp_path):
    run = multiprocessing.get_context("spawn").Process(target=run_waiting_pieces, args=(tmp_path,))
    run.start()
    until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in ("one", "two")))
    run.kill()
    run.join()
    workers = [int((tmp_path / name).read_text()) for name in ("one", "two")]
    until(lambda: not any(is_running(worker) for worker in workers))


def until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.1)


def is_running(process: int) -> bool:
    """A zombie that nobody has waited for yet has ended too."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.filterwarnings("default")  # Dask's own, of a worker that died
def test_a_lost_worker_is_survived(tmp_path, cluster):
    names = ["a", "b", "lost", "c", "d"]
    with runner(cluster.scheduler_address) as run:
        assert collected(run, pieces(tmp_path, *names)) == {name: name.upper() for name in names}
    assert (tmp_path / "lost").read_text() == "xx"


@pytest.mark.filterwarnings("default")
def test_a_users_mistake_on_a_worker_is_raised_here_once(tmp_path, cluster):
    with runner(cluster.scheduler_address) as run, pytest.raises(InputError, match="labels hold 7"):
        run(pieces(tmp_path, "wrong"), lambda *_: None)
    assert (tmp_path / "wrong").read_text() == "x"


@pytest.mark.filterwarnings("default")
def test_an_address_where_nothing_answers_is_a_wrong_call():
    with (
        pytest.raises(InputError, match=r"--scheduler tcp://127\.0\.0\.1:9: no Dask scheduler answers"),
        runner("tcp://127.0.0.1:9"),
    ):
        pass
