"""Files that somebody else wrote end as content or as one line."""

from __future__ import annotations

import json
import os

import pytest

from bonelift.errors import InputError
from bonelift.storage import input_files
from bonelift.storage.input_files import check_memory, parse_json, plain_text, read_bytes, read_json, understood


def test_a_regular_file_is_read_whole_and_no_larger_than_stated(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 1000)
    assert read_bytes(file, "a thing", 1000) == b"x" * 1000
    with pytest.raises(InputError, match=r"a\.bin: larger than 0 KiB; expected a thing"):
        read_bytes(file, "a thing", 999)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipe", "is a pipe"),
        ("folder", "is a folder"),
        ("zero", "is a device"),
        ("missing", "no such file"),
        ("empty", "is empty"),
        ("loop", "cannot be read"),
        ("long", "cannot be read"),
        ("nul", "no file can have this name"),
    ],
)
def test_what_is_no_regular_file_is_said_at_once(tmp_path, kind, words):
    """A pipe without a writer would wait for ever, a device has no end."""
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "empty":
        path.touch()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long":
        path = tmp_path / ("x" * 300)
    elif kind == "nul":
        path = tmp_path / "a\0b"
    with pytest.raises(InputError, match=words) as caught:
        read_bytes(path, "a thing", 1000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 2000 + "]" * 2000, "nested too deep"),
        ("[" * 100 + "]" * 100, "nested too deep"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested too deep"),
        ("9" * 400, "400 digits"),
        ("9" * 5000, "5000 digits"),
        ("1e999", "too large"),
        ("0." + "1" * 5000, "too large"),
        ("NaN", "which JSON does not have"),
        ("-Infinity", "which JSON does not have"),
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ],
)
def test_json_beyond_its_limits_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse_json(text, "a.json", "a thing")


def test_json_within_the_limits_is_read_as_it_is(tmp_path):
    content = {"a": [1, 2.5, None, True, "ü"], "state": 2**127, "deep": [[[[1]]]]}
    file = tmp_path / "a.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    assert read_json(file, "a thing") == content
    file.write_bytes(json.dumps(content).encode("utf-16"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_json(file, "a thing")


@pytest.mark.parametrize("wrong", ["[1][2]", "{}['a']", "abs(None)", "int('x')", "float(10**400)", "(1).x", "1 / 0"])
def test_content_of_another_kind_becomes_one_line(wrong):
    with pytest.raises(InputError, match=r"a\.json: is damaged"), understood("a.json", "is damaged"):
        eval(wrong)


@pytest.mark.parametrize("value", [5, None, ["a"], "a\0b", "\ud800", "a\nb", "x" * 201])
def test_text_that_cannot_stand_in_a_table_is_refused(value):
    with pytest.raises(InputError, match="name is"):
        plain_text(value, "name")


def test_the_memory_limit_is_told_and_can_be_set(monkeypatch):
    check_memory(3.9 * 2**30, "a", "the voxels")
    with pytest.raises(
        InputError, match=r"the voxels would take 5\.0 GiB of memory; the limit is 4 GiB \(BONELIFT_MEM"
    ):
        check_memory(5 * 2**30, "a", "the voxels")
    monkeypatch.setenv(input_files.MEMORY_VARIABLE, "8")
    check_memory(5 * 2**30, "a", "the voxels")
    monkeypatch.setenv(input_files.MEMORY_VARIABLE, "much")
    with pytest.raises(InputError, match="BONELIFT_MEMORY_GIB is 'much'"):
        check_memory(1, "a", "the voxels")
