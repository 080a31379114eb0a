"""Every reader of foreign files: a sound one is read, a damaged one is read or refused in one line, never more.

`make fuzz` does this for as long as it is let; here are the first mutants of each reader, and the finds.
"""

from __future__ import annotations

import warnings

import pytest

from bonelift.errors import InputError
from builders.fuzzed_readers import NAMES, FuzzedReader, readers

MUTANTS = 12
FINDS = (
    ("radiograph pictures", 212), ("CT series", 354), ("table", 356), ("mesh .glb", 179), ("settings", 490),
    ("folds", 128),
)  # fmt: skip
"""(reader, mutant) of every fault that `make fuzz` has found, mended since."""


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> dict[str, FuzzedReader]:
    found = readers(tmp_path_factory.mktemp("seeds"))
    assert tuple(found) == NAMES
    return found


def read(reader: FuzzedReader, folder, content: bytes) -> object:
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader.read(folder, path)


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_are_read(known, tmp_path, name):
    for number, seed in enumerate(known[name].seeds):
        read(known[name], tmp_path / str(number), seed)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused_in_one_line(known, tmp_path, name):
    finds = [number for reader, number in FINDS if reader == name]
    for number in (*range(MUTANTS), *finds):
        refusal = ""
        try:
            read(known[name], tmp_path / str(number), known[name].damaged(number))
        except InputError as error:
            refusal = str(error)
        assert "\n" not in refusal
        assert len(refusal) < 700
