"""Child processes of the server: started with one task, listened to, ended at their time or when nobody wants them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bonelift.errors import InputError

_LONGEST_ANSWER = 4 << 20


class WorkerError(RuntimeError):
    """A task ended otherwise than with an answer: a fault of ours, or the system ended it."""


@dataclass(frozen=True)
class Task:
    """name: one of ``worker.TASKS``. content: JSON-able. seconds, memory_gib: what it may take."""

    name: str
    content: dict[str, Any]
    seconds: float
    memory_gib: float


async def run_task(task: Task, on_step: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The task's answer. Raises InputError where the input is refused or takes too long, and WorkerError.

    The child is ended, with all that it started, when this coroutine is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from bonelift.serve.worker import main; main()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_ANSWER,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(task.seconds):
            return await _conversation(process, task, on_step)
    except TimeoutError:
        raise InputError(f"this took longer than {task.seconds:.0f} s and was ended; pass a smaller film") from None
    finally:
        await _end(process)


async def _conversation(
    process: asyncio.subprocess.Process, task: Task, on_step: Callable[[str], None]
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    line = {"task": task.name, "seconds": task.seconds, "memory_gib": task.memory_gib, **task.content}
    # A child that is gone already tells so by ending its output.
    with contextlib.suppress(ConnectionError):
        process.stdin.write(json.dumps(line).encode() + b"\n")
        await process.stdin.drain()
    async for raw in process.stdout:
        answer = json.loads(raw)
        if "step" in answer:
            on_step(str(answer["step"]))
        elif "done" in answer:
            return answer["done"]
        elif "refused" in answer:
            raise InputError(answer["refused"])
        else:
            raise WorkerError(str(answer.get("fault", "an answer that is none")))
    status = await process.wait()
    raise WorkerError(f"the process ended by itself (status {status}), at its limit of memory most likely")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the child and what it started, and wait until it is gone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.shield(process.wait())
    if process.stdin is not None:
        process.stdin.close()
