"""One fault, one child: pytest in a process that is forked with numpy, torch and numba loaded, so that it is quick.

A fault inside a function is put into the function that is loaded; for any other the child imports the package anew, the
faulty module from memory, through a finder of its own before Python's. What a test starts as another program does not
see the fault; such a test notices nothing, which the score then says.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop

HEAVY = (
    "numpy", "scipy.ndimage", "scipy.optimize", "scipy.spatial.transform", "scipy.stats", "numba", "torch", "pydicom",
    "torch.nn.functional", "hypothesis", "PIL.Image", "tifffile", "trimesh", "nibabel", "skimage.measure", "mkdocs",
    "matplotlib.pyplot", "pandas", "onnxruntime", "safetensors.torch", "jinja2", "scipy.interpolate", "scipy.io",
)  # fmt: skip
"""Loaded once, before the first fork. None of them is bonelift."""
QUIET = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line")
QUIET += ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # of plugins that are loaded before the fork


def load_heavy() -> None:
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


class _FaultyLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: bytes):
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _FaultyFinder:
    """Stands before Python's own finders, and knows one module."""

    def __init__(self, name: str, path: Path, source: bytes):
        self._name, self._path, self._source = name, path, source

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != self._name:
            return None
        loader = _FaultyLoader(name, str(self._path), self._source)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


def module_of(file: str) -> str:
    """ "bonelift/geometry/rays.py" -> "bonelift.geometry.rays"."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def with_collected(tests: Sequence[str], work: Callable[[pytest.Session], None]) -> None:
    """Calls ``work`` in a child, with a session of pytest that has collected the tests (files) and run none of them."""

    class Loop:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            work(session)
            return True

    child = os.fork()
    if child == 0:
        status = 70
        try:
            # Status 5: no test was run, for that is done by the children of this child.
            status = int(pytest.main([*QUIET, *tests], plugins=[Loop()]))
        finally:
            os._exit(0 if status == 5 else status)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(tests)}: pytest ended with status {os.waitstatus_to_exitcode(status)}")


def outcome_in_function(path: Path, source: bytes, session: pytest.Session, tests: Collection[str], cpu_s: int) -> str:
    """ "killed", "killed: no end" (more than ``cpu_s`` of processor time) or "SURVIVED", of a fault inside a function.

    tests: names of tests, or of files of which all are meant.

    The functions that are loaded get the code of the faulty source, so nothing is imported again.
    """

    def child() -> int:
        _put_code(path, source)
        session.config.get_terminal_writer()._file = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        order = {name: n for n, name in enumerate(tests)}
        places = {item: order.get(item.nodeid, order.get(item.nodeid.partition("::")[0])) for item in session.items}
        session.items = sorted((i for i in session.items if places[i] is not None), key=lambda item: places[item])
        with contextlib.suppress(pytest.Session.Failed, pytest.Session.Interrupted):
            pytest_runtestloop(session)
        return int(session.testsfailed > 0)

    return _outcome(_forked(child, cpu_s))


def outcome_in_module(file: str, path: Path, source: bytes, tests: Collection[str], cpu_s: int) -> str:
    """The same of a fault anywhere, for a process that has imported nothing of bonelift."""

    def child() -> int:
        sys.meta_path.insert(0, _FaultyFinder(module_of(file), path, source))  # type: ignore[arg-type]
        if b"njit" in source:  # numba's cache does not see that a number in the code has changed
            import numba

            os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = os.environ["TMPDIR"]
        return int(pytest.main([*QUIET, *tests]))

    return _outcome(_forked(child, cpu_s))


def _outcome(status: int) -> str:
    known = {0: "SURVIVED", 1: "killed", 2: "killed"} | dict.fromkeys(
        (-signal.SIGXCPU, -signal.SIGKILL), "killed: no end"
    )
    return known.get(status, "killed" if status < 0 else f"NOT TRIED: pytest ended with status {status}")


def _put_code(path: Path, source: bytes) -> None:
    """Give every function that was loaded from ``path`` the code that ``source`` has for it, where they differ."""
    true = dict(_functions(compile(path.read_bytes(), str(path), "exec", dont_inherit=True)))
    faulty = dict(_functions(compile(source, str(path), "exec", dont_inherit=True)))
    changed = {place for place in true if true[place] != faulty[place]}
    loaded = [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__.co_filename == str(path)]
    put = set()
    for place in changed:
        for function in loaded:
            if function.__code__ == true[place]:
                function.__code__ = faulty[place]
                put.add(place)
    if not put:
        raise LookupError(f"{path.name}: the function of the fault is not loaded")


def _functions(code: CodeType, within: str = "") -> Iterator[tuple[tuple[str, int], CodeType]]:
    """((name, how many of that name came before), code) of all functions and methods; nested ones lie in their code."""
    seen: dict[str, int] = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            name = f"{within}.{constant.co_name}"
            seen[name] = seen.get(name, -1) + 1
            if constant.co_flags & inspect.CO_NEWLOCALS and constant.co_flags & inspect.CO_OPTIMIZED:
                yield (name, seen[name]), constant
            else:
                yield from _functions(constant, f"{name}{seen[name]}")


def trace(tests: Sequence[str], files: Sequence[Path], timeout_s: int) -> dict[str, Any]:
    """Which lines of ``files`` each test that passes runs, and its processor time.

    {test: {"seconds": s, "shared": name, "shared_seconds": s, "lines": {file: [n]}}}; shared: the fixtures that several
    tests have together, which run in the first of them alone. Their lines count for every test of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace.json"

        def child() -> int:
            recorder = _Recorder({str(file) for file in files})
            pytest.main([option for option in (*QUIET, *tests) if option != "-x"], plugins=[recorder])
            out.write_text(json.dumps({"failed": recorder.failed, "tests": recorder.result()}), encoding="utf-8")
            return 0

        status = _forked(child, timeout_s)
        if status != 0 or not out.is_file():
            raise SystemExit(f"{' '.join(tests)}: not traced, status {status}")
        return json.loads(out.read_text(encoding="utf-8"))


class _Recorder:
    """A plugin of pytest."""

    def __init__(self, files: set[str]):
        self._files = files
        self._lines: set[tuple[str, int]] = set()
        self._setups: dict[str, float] = {}
        self._setup_lines: dict[str, set[tuple[str, int]]] = {}
        self._tests: dict[str, tuple[float, str, set[tuple[str, int]]]] = {}
        self._passed: set[str] = set()
        self.failed: list[str] = []

    def result(self) -> dict[str, Any]:
        tests = {}
        for name in self._passed.difference(self.failed):
            seconds, shared, own = self._tests[name]
            lines: dict[str, list[int]] = {}
            for file, line in sorted(own | self._setup_lines[name.partition("::")[0]]):
                lines.setdefault(file, []).append(line)
            tests[name] = {
                "seconds": round(seconds, 3), "shared": shared, "shared_seconds": round(self._setups[shared], 3),
                "lines": lines,
            }  # fmt: skip
        return tests

    def _call(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self._files:
            return None
        self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    def _line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._lines = set()
        threading.settrace(self._call)
        sys.settrace(self._call)
        yield
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        begin = time.process_time()
        yield
        file = item.nodeid.partition("::")[0]
        known = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
        shared = f"{file} {' '.join(sorted(name for name, found in known.items() if found[-1].scope != 'function'))}"
        self._setups[shared] = max(self._setups.get(shared, 0.0), time.process_time() - begin)
        self._setup_lines.setdefault(file, set()).update(self._lines)
        self._tests[item.nodeid] = (0.0, shared, set())

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        begin = time.process_time()
        yield
        self._tests[item.nodeid] = (time.process_time() - begin, self._tests[item.nodeid][1], self._lines)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "failed":
            self.failed.append(report.nodeid)
        elif report.outcome == "passed" and report.when == "call":
            self._passed.add(report.nodeid)


def _forked(work: Callable[[], int], cpu_s: int) -> int:
    """Status of ``work`` in a child of its own session, without output; -N where signal N ended it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
            told, nothing = os.dup(2), os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp()
            status = work()
        except BaseException:
            os.write(told, traceback.format_exc().encode())
        finally:
            import shutil

            shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
            os._exit(status)
    end = time.monotonic() + 30 * cpu_s  # one that waits for ever costs no processor time
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.05)
    return os.waitstatus_to_exitcode(status)
