"""Who may ask the server: names, pages, tokens, rates and sizes; and what every answer carries."""

from __future__ import annotations

import pytest

from bonelift.serve import desk as desk_module
from bonelift.serve.limits import Limits
from builders.served_page import Children, client

PATHS = ["/", "/static/app.js", "/static/page.css", "/api/desk", "/api/wrists/none", "/no/such/place"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_allows_no_foreign_script_and_no_frame(path: str) -> None:
    with client() as to:
        headers = to.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8750", 200),
        ("localhost:8750", 200),
        ("[::1]:8750", 200),
        ("localhost", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8750", 421),
        ("evil.example@127.0.0.1@evil.example", 421),
        ("[::1", 421),
        ("127.0.0.1:port", 421),
    ],
)
def test_a_name_that_was_bent_to_this_address_is_refused(host: str, status: int) -> None:
    with client() as to:
        assert to.get("/api/desk", headers={"host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_changes_anything_needs_the_page_of_this_server(method: str) -> None:
    with client() as to:
        bare = to.request(method, "/api/wrists", headers={"x-bonelift": ""})
        assert bare.status_code != 403  # an empty value is still the header, which no other page can send
        before = set(to.desk.wrists)
        del to.headers["x-bonelift"]
        assert to.request(method, "/api/wrists").status_code == 403
        foreign = {"x-bonelift": "1", "origin": "https://evil.example"}
        assert to.request(method, "/api/wrists", headers=foreign).status_code == 403
        for origin in ("null", "http://[::1", "http://127.0.0.1:1"):
            odd = {"x-bonelift": "1", "origin": origin}
            assert to.request(method, "/api/wrists", headers=odd).status_code == 403
        assert set(to.desk.wrists) == before


def test_a_request_of_another_site_is_refused_and_a_link_to_the_page_is_not() -> None:
    with client() as to:
        cross = {"sec-fetch-site": "cross-site"}
        assert to.get("/api/desk", headers=cross).status_code == 403
        assert to.get("/", headers=cross).status_code == 200


def test_without_the_token_nothing_is_answered_and_the_address_with_it_lets_in() -> None:
    token = "a-long-token-1234"
    with client(token=token) as to:
        for path in PATHS:
            assert to.get(path).status_code == 401
        assert to.get("/?token=wrong").status_code == 401
        assert to.get(f"/api/desk?token={token}").status_code == 401  # it belongs into no other address
        assert to.get("/api/desk", headers={"authorization": f"Bearer {token}"}).status_code == 200
        let_in = to.get(f"/?token={token}", follow_redirects=False)
        assert let_in.status_code == 303
        assert let_in.headers["location"] == "/"
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert to.get("/api/desk").status_code == 200  # by the cookie
        assert to.post("/api/wrists", headers={"origin": str(to.base_url)}).status_code == 201


def test_too_many_changes_in_a_moment_are_told_to_wait() -> None:
    with client(Limits(changes_per_s=0.001, changes_at_once=3)) as to:
        statuses = [to.post("/api/wrists").status_code for _ in range(5)]
        assert statuses == [201, 201, 201, 429, 429]
        again = to.post("/api/wrists")
        assert "wait" in again.json()["message"]
        assert int(again.headers["retry-after"]) > 0
        assert to.get("/api/desk").status_code == 200  # looking is counted apart


def test_a_body_beyond_its_size_is_refused_and_nothing_of_it_stays(monkeypatch) -> None:
    monkeypatch.setattr(desk_module, "run_task", Children())
    with client(Limits(film_bytes=1 << 20)) as to:
        path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
        whole = to.post(f"{path}/films", content=b"x" * ((1 << 20) + 1))
        pieces = to.post(f"{path}/films", content=(b"x" * (1 << 18) for _ in range(5)))
        assert [whole.status_code, pieces.status_code] == [413, 413]
        assert "1 MiB" in whole.json()["message"]
        assert to.put(f"{path}/films/1", content=b"[" * (1 << 17)).status_code == 413
        assert [p.name for p in to.desk.places.uploads.rglob("film*")] == []
        assert to.post(f"{path}/films", content=b"x" * (1 << 20)).status_code == 201


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"side": "up"}', b'{"sides": "left"}', b'{"pixel_spacing_mm": NaN}',
                                  b'{"roi": [1, 2]}', b'{"landmarks": [1, 2, 3, 1e9]}', b"\xff", b"null"])  # fmt: skip
def test_options_that_are_none_are_one_sentence(monkeypatch, body: bytes) -> None:
    monkeypatch.setattr(desk_module, "run_task", Children())
    with client() as to:
        path = f"/api/wrists/{to.post('/api/wrists').json()['name']}"
        to.post(f"{path}/films", content=b"film")
        answer = to.put(f"{path}/films/1", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert "\n" not in answer.json()["message"]
        assert to.desk.wrists[path.rsplit("/", 1)[-1]].films[0].options == {}
