"""Pieces run here, in processes and on a Dask cluster; a worker that is lost in the middle costs nothing but time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.experiments.run.scheduling import Piece, runner

distributed = pytest.importorskip("distributed")


def upper(folder: Path, name: str) -> str:
    """Notes each attempt; "lost" takes its first worker with it, "wrong" is a user's mistake."""
    attempts = folder / name
    with attempts.open("a") as file:
        file.write("x")
    if name == "lost" and len(attempts.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wrong":
        raise InputError("case wrong: labels hold 7; expected 1 and 2")
    return name.upper()


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


def wait_for(folder: Path, name: str) -> None:
    """Leaves word of who it is, does not end by itself, and like a training ends itself alone when it is told to."""

    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        rest(folder, name)
    finally:
        signal.signal(signal.SIGTERM, before)


def rest(folder: Path, name: str) -> None:
    (folder / name).write_text(str(os.getpid()))
    time.sleep(600)


def run_waiting_pieces(folder: Path) -> None:
    with runner(workers=2) as run:
        run([Piece(name, wait_for, (folder, name)) for name in ("one", "two", "three", "four")], lambda *_: None)


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
