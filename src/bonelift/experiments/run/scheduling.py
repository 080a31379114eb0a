"""Where the pieces of a study run: here, in a few processes here, or on the workers of a Dask cluster.

A piece is a module-level function with plain arguments; it writes what it makes into the run folder (which a cluster
shares) whole or not at all, and goes on where an earlier attempt stopped. So a lost worker costs no more than time:
Dask gives its pieces to another one.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bonelift.errors import InputError
from bonelift.extras import missing

SECONDS_TO_SAVE = 10.0
"""That a training has to write its checkpoint before it is told again."""


@dataclass(frozen=True)
class Piece:
    """function(*arguments), known to a person as ``label``."""

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = field(default=())


Runner = Callable[[Sequence[Piece], Callable[[str, Any], None]], None]
"""Runs the pieces, calling back with (label, result) as each ends; the first InputError is raised."""


@contextmanager
def runner(scheduler: str | None = None, workers: int = 1) -> Iterator[Runner]:
    """scheduler: address of a Dask scheduler, or None. workers: processes on this machine where there is none."""
    if scheduler is not None:
        with _dask_client(scheduler) as client:
            yield lambda pieces, on_done: _run_on_dask(client, pieces, on_done)
    elif workers > 1:
        yield lambda pieces, on_done: _run_in_processes(workers, pieces, on_done)
    else:
        yield _run_here


def _run_here(pieces: Sequence[Piece], on_done: Callable[[str, Any], None]) -> None:
    for piece in pieces:
        on_done(piece.label, piece.function(*piece.arguments))


def _run_in_processes(workers: int, pieces: Sequence[Piece], on_done: Callable[[str, Any], None]) -> None:
    if len(pieces) < 2:
        _run_here(pieces, on_done)
        return
    count = min(workers, len(pieces))
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin_worker, (count,)) as pool:
        futures = {pool.submit(piece.function, *piece.arguments): piece for piece in pieces}
        _collect(pool, futures, on_done)


def _collect(
    pool: ProcessPoolExecutor, futures: Mapping[Future[Any], Piece], on_done: Callable[[str, Any], None]
) -> None:
    """Wait for all; what one raises ends the others."""
    try:
        for future in as_completed(futures):
            on_done(futures[future].label, future.result())
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps for want of memory; the same command goes on, "
            "with less memory where --workers is lower"
        ) from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def run_apart(pieces: Sequence[Piece], on_done: Callable[[str, Any], None]) -> None:
    """One after the other, each in a fresh process, so that its time and its peak memory are its alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _begin_worker, (1,), max_tasks_per_child=1) as pool:
        futures = {pool.submit(piece.function, *piece.arguments): piece for piece in pieces}
        _collect(pool, futures, on_done)


def _begin_worker(count: int) -> None:
    """Of a worker process, one of ``count``: its share of the cores, and an end when its run is dead."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    """A killed run leaves no worker behind that trains into the folder where the next run goes on. SIGTERM, so that a
    training saves what it has; again and again, because the worker then takes the next piece that waits for it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        while True:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(SECONDS_TO_SAVE)


def _dask_client(address: str) -> Any:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise missing("distributed", "--scheduler") from None
    try:
        return distributed.Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers ({error}); check the address") from error


def _run_on_dask(client: Any, pieces: Sequence[Piece], on_done: Callable[[str, Any], None]) -> None:
    """A piece whose worker is lost goes to another one; Dask gives it up after distributed.scheduler.allowed-failures
    of them (3 unless configured)."""
    distributed = importlib.import_module("distributed")
    futures = {client.submit(piece.function, *piece.arguments, pure=False): piece for piece in pieces}
    try:
        for future in distributed.as_completed(futures):
            piece = futures[future]
            try:
                on_done(piece.label, future.result())
            except distributed.KilledWorker as error:
                raise InputError(
                    f"{piece.label}: every worker that tried it was lost; look at the workers' logs"
                ) from error
    except BaseException:
        client.cancel(list(futures))
        raise
