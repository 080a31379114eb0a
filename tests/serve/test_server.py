"""Where the server listens, who may come in, and how long it waits for a request."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.serve import desk as desk_module
from bonelift.serve.limits import Limits
from bonelift.serve.places import places
from bonelift.serve.server import door_for, is_local, listen
from builders.served_page import Children, client, new_wrist


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("wrist.example", False)],
)  # fmt: skip
def test_beyond_this_machine_there_is_always_a_token(host: str, local: bool) -> None:
    assert is_local(host) is local
    assert (door_for(host, None).token is None) is local
    assert door_for(host, "a-token-of-my-own").token == "a-token-of-my-own"


def test_tokens_that_were_made_differ_and_are_long() -> None:
    first, second = (door_for("0.0.0.0", None).token or "" for _ in range(2))
    assert first != second
    assert min(len(first), len(second)) >= 32


def test_listening_everywhere_takes_addresses_and_no_foreign_names() -> None:
    door = door_for("0.0.0.0", None, ("wrist.example",))
    assert door.knows("192.168.1.5:8750")
    assert door.knows("wrist.example")
    assert not door.knows("evil.example:8750")
    assert not door_for("127.0.0.1", None).knows("192.168.1.5:8750")


@pytest.mark.parametrize("token", ["short", "with space in it", "x" * 300, "semi;colon;token", ""])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="--token"):
        door_for("127.0.0.1", token)


def test_a_port_that_is_taken_is_one_line(capsys) -> None:
    with closing(listen("127.0.0.1", 0)) as taken:
        taken.listen()
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pass another port" in error


@pytest.mark.parametrize(
    "call", [["--port", "99999"], ["--host", "192.0.2.1"], ["--model", "no-such-folder"], ["--memory-gib", "0"]]
)
def test_a_wrong_call_is_one_line(call: list[str], capsys) -> None:
    assert main(["serve", *call]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_to_keep_results_in_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--keep"), places(tmp_path / "file"):
        pass


def test_what_a_killed_server_left_goes_when_the_next_one_starts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "bonelift-serve-999999999-abc_1"
    (dead / "wrist").mkdir(parents=True)
    (dead / "wrist" / "film 1").write_bytes(b"film")
    other = tmp_path / "bonelift-serve-notes"
    other.mkdir()
    with places(None) as where:
        assert not dead.exists()
        assert other.exists()
        assert where.uploads.stat().st_mode & 0o077 == 0
        with places(None):
            assert where.uploads.exists()  # that server lives
    assert list(tmp_path.iterdir()) == [other]


def test_a_request_that_does_not_come_whole_is_ended_and_others_are_served() -> None:
    with client(Limits(head_s=0.3)) as to, socket.create_connection(("127.0.0.1", to.base_url.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert to.get("/api/desk").status_code == 200
        slow.settimeout(30)
        assert slow.recv(100) == b""


@pytest.mark.parametrize("limits", [Limits(idle_s=0.3), Limits(upload_s=0.3)])
def test_an_upload_that_stands_still_is_ended_and_deleted(monkeypatch, limits: Limits) -> None:
    monkeypatch.setattr(desk_module, "run_task", Children())
    with client(limits) as to, socket.create_connection(("127.0.0.1", to.base_url.port)) as half:
        name = to.post("/api/wrists").json()["name"]
        head = f"POST /api/wrists/{name}/films HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Bonelift: 1\r\n"
        half.sendall(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
        half.settimeout(30)
        assert b" 408 " in half.recv(1000)
        assert not list(to.desk.places.uploads.rglob("film*"))


def test_an_upload_whose_sender_goes_away_leaves_nothing(monkeypatch) -> None:
    monkeypatch.setattr(desk_module, "run_task", Children())
    with client() as to:
        name = to.post("/api/wrists").json()["name"]
        head = f"POST /api/wrists/{name}/films HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Bonelift: 1\r\n"
        with socket.create_connection(("127.0.0.1", to.base_url.port)) as half:
            half.sendall(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
            wait_until(lambda: any(to.desk.places.uploads.rglob("film*")))
        wait_until(lambda: not any(to.desk.places.uploads.rglob("film*")))
        assert new_wrist(to)


def test_the_log_names_no_file_and_no_header(monkeypatch, caplog) -> None:
    async def broken(*_: object) -> dict:
        raise RuntimeError("ROENTGEN^ANNA 4711")

    monkeypatch.setattr(desk_module, "run_task", broken)
    with client() as to:
        path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
        answer = to.post(f"{path}/films", content=b"film", headers={"x-patient": "ROENTGEN"})
        assert answer.status_code == 500
        assert "ROENTGEN" not in answer.text
        assert to.get("/api/desk").status_code == 200
    assert "RuntimeError in test_server.py" in caplog.text
    assert "ROENTGEN" not in caplog.text


def wait_until(condition) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
