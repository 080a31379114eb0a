"""Load on `bonelift serve` over loopback: many requests, slow clients, half uploads, floods; memory before and after.

    python scripts/soak_server.py --requests 500 --minutes 2

Starts a server of its own, on a free port. No job is run: what is tried is the server, which must answer all the while.
Prints what was sent, what came back, and the server's memory, as Markdown.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from bonelift.images.raster import write_png

OWN = {"X-Bonelift": "1"}
Counts = collections.Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--slow", type=int, default=40, help="clients that send a byte now and then")
    parser.add_argument("--halves", type=int, default=60, help="uploads that end in the middle")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", "from bonelift.cli import main; main()", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        address = read_address(process)
        ready_s = time.monotonic() - began
        answered_s = first_answer(address, began)
        print(f"ready after {ready_s:.2f} s, first page after {answered_s:.2f} s\n")
        columns = [
            "round", "requests", "answers by status", "slow clients ended", "half uploads", "page meanwhile (worst)",
            "memory of the server", "open files", "uploads left",
        ]  # fmt: skip
        print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
        print(f"| before | | | | | | {memory_mib(process.pid):.1f} MiB | {open_files(process.pid)} | 0 |", flush=True)
        for number in range(1, options.rounds + 1):
            one_round(number, address, process.pid, options)
        process.send_signal(2)
        process.wait(60)
    left = list(Path(tempfile.gettempdir()).glob(f"bonelift-serve-{process.pid}-*"))
    print(f"\nended with status {process.returncode}; folders left: {len(left)}")


def read_address(process: subprocess.Popen[str]) -> str:
    said = ""
    assert process.stdout is not None
    while "}" not in said:
        said += process.stdout.readline()
    return str(json.loads(said)["address"])


def first_answer(address: str, began: float) -> float:
    assert httpx.get(address, trust_env=False).status_code == 200
    return time.monotonic() - began


def one_round(number: int, address: str, pid: int, options: argparse.Namespace) -> None:
    """Everything at once, while somebody looks at the page twice a second."""
    port = urlsplit(address).port or 0
    slow: Counts = collections.Counter()
    halves: Counts = collections.Counter()
    answers: Counts = collections.Counter()
    looks: list[float] = []
    done = threading.Event()
    threads = [threading.Thread(target=slow_client, args=(port, slow)) for _ in range(options.slow)]
    threads += [threading.Thread(target=half_upload, args=(address, port, halves)) for _ in range(options.halves)]
    watcher = threading.Thread(target=watch, args=(address, looks, done))
    for thread in [watcher, *threads]:
        thread.start()
    many_requests(address, options.requests, answers)
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    clear(address)
    by_status = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    print(
        f"| {number} | {sum(answers.values())} | {by_status} | {slow['ended']} of {options.slow} | {halves['sent']} | "
        f"{len(looks)} ({max(looks):.2f} s) | {memory_mib(pid):.1f} MiB | {open_files(pid)} | {uploads_left(pid)} |",
        flush=True,
    )


def many_requests(address: str, count: int, answers: Counts) -> None:
    """Pages, wrong addresses, wrong bodies, new wrists, films that are none, a real one now and then."""
    film = small_film()
    with httpx.Client(base_url=address, headers=OWN, timeout=120, trust_env=False) as client:
        name = wait_and(lambda: client.post("api/wrists"), answers).json()["name"]
        kinds = [
            lambda: client.get(""),
            lambda: client.get("static/app.js"),
            lambda: client.get("api/desk"),
            lambda: client.get("api/wrists/none"),
            lambda: client.get("../../etc/passwd"),
            lambda: client.put(f"api/wrists/{name}/films/1", content=b"[" * 3000),
            lambda: client.post(f"api/wrists/{name}/run"),
            lambda: client.get("api/desk", headers={"host": "evil.example"}),
            lambda: client.post("api/wrists", headers={"x-bonelift": "1", "origin": "https://evil.example"}),
            lambda: client.get(f"api/wrists/{name}"),
        ]
        for n in range(count - 1):
            if n % 50 == 25:
                body = film if n % 100 == 25 else b"%PDF-1.7 no film"
                wait_and(lambda body=body: client.post(f"api/wrists/{name}/films", content=body), answers)
            else:
                wait_and(kinds[n % len(kinds)], answers)


def wait_and(ask, answers: Counts) -> httpx.Response:
    """Ask; what is told to wait is counted, waits and is asked once more, outside of the count."""
    answer = ask()
    answers[str(answer.status_code)] += 1
    while answer.status_code == 429 and answer.request.method == "POST" and answer.request.url.path == "/api/wrists":
        time.sleep(2)
        answer = ask()
    return answer


def small_film() -> bytes:
    grey = np.random.default_rng(0).integers(0, 60000, (200, 160)).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        write_png(Path(folder) / "film.png", grey)
        return (Path(folder) / "film.png").read_bytes()


def slow_client(port: int, counts: Counts) -> None:
    """Sends the head of a request a letter a second; the server is expected to hang up."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            for letter in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"x" * 60:
                connection.sendall(bytes([letter]))
                time.sleep(1)
                connection.setblocking(False)
                try:
                    if connection.recv(1) == b"":
                        break
                except BlockingIOError:
                    pass
                connection.setblocking(True)
            else:
                return
        except OSError:
            pass
        counts["ended"] += 1


def half_upload(address: str, port: int, counts: Counts) -> None:
    """Announces 8 MiB, sends 1 MiB, and goes away."""
    time.sleep(np.random.default_rng(threading.get_ident() % 1000).uniform(0, 10))
    created = httpx.post(f"{address}api/wrists", headers=OWN, trust_env=False, timeout=60)
    name = created.json().get("name", "none")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"POST /api/wrists/{name}/films HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Bonelift: 1\r\n"
        with contextlib.suppress(OSError):
            connection.sendall(f"{head}Content-Length: {8 << 20}\r\n\r\n".encode() + b"\0" * (1 << 20))
        counts["sent"] += 1


def watch(address: str, looks: list[float], done: threading.Event) -> None:
    """How long the page takes, twice a second."""
    while not done.wait(0.5):
        began = time.monotonic()
        assert httpx.get(address, trust_env=False, timeout=60).status_code in (200, 429, 503)
        looks.append(time.monotonic() - began)


def clear(address: str) -> None:
    """Delete every wrist."""
    with httpx.Client(base_url=address, headers=OWN, timeout=120, trust_env=False) as client:
        for wrist in client.get("api/desk").json()["wrists"]:
            while client.delete(f"api/wrists/{wrist['name']}").status_code == 429:
                time.sleep(1)


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def uploads_left(pid: int) -> int:
    """Files in the temporary folder of the server."""
    folders = Path(tempfile.gettempdir()).glob(f"bonelift-serve-{pid}-*")
    return sum(path.is_file() for folder in folders for path in folder.rglob("*"))


if __name__ == "__main__":
    main()
