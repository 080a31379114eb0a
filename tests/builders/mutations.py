"""Small damage to files and JSON, drawn from a seed: what scripts/fuzz_readers.py and its finds in the tests share."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from typing import Any

NUMBERS = (0, 1, -1, 2, 127, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 100_000, 20_000_000)
TEXTS = (
    b"0",
    b"-1",
    b"nan",
    b"inf",
    b"1e308",
    b"1e400",
    b"9" * 400,
    b"9" * 5000,
    b"1_0",
    "²".encode(),
    b"",
    b"1,5",
    b"none",
)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x", "../../etc/passwd", "/etc/passwd",
    "a\0b", "\ud800", "é" * 3000, [], {}, [[]], [None], {"a": 1}, [1e308] * 3, [10**400] * 3, "<script>",
)  # fmt: skip
DEEP = "[" * 3000 + "]" * 3000


def mutated_bytes(rng: random.Random, content: bytes, header: int = 2048) -> bytes:
    """``content`` with one to four changes, most of them where headers lie."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        at = rng.randrange(min(len(data), header)) if rng.random() < 0.7 else rng.randrange(len(data))
        kind = rng.randrange(9)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + rng.choice((1, 2, 4, 16, 256))]
        elif kind == 3:
            data[at:at] = data[at : at + rng.choice((1, 4, 64))] * rng.choice((1, 2, 8))
        elif kind == 4:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(NUMBERS) & ((1 << 8 * width) - 1)
            data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 5:
            value = rng.choice((0.0, float("nan"), float("inf"), 3e38, -1.0, 1e-40))
            data[at : at + 4] = struct.pack(rng.choice(("<f", ">f")), value)
        elif kind == 6:
            found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[:header])))
            if found:
                chosen = rng.choice(found)
                data[chosen.start() : chosen.end()] = rng.choice(TEXTS)
        elif kind == 7:
            lines = bytes(data[:header]).split(b"\n")
            chosen_line = rng.randrange(len(lines))
            del lines[chosen_line]
            data[:header] = b"\n".join(lines)
        else:
            for _ in range(rng.choice((1, 8, 64))):
                data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def mutated_json(rng: random.Random, value: Any) -> bytes:
    """JSON text of ``value`` with one to three entries removed, doubled or replaced by what no reader expects."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(("x", "", "__class__"))] = rng.choice(ODD)
        elif kind == 1:
            holder.insert(key, rng.choice(ODD))
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    text = json.dumps(value, default=str)
    drawn = rng.random()
    if drawn < 0.05:
        text = text.replace("1", DEEP, 1)
    elif drawn < 0.1:
        text = DEEP
    data = text.encode("utf-8", "surrogatepass")
    if 0.1 <= drawn < 0.15:
        return data[: rng.randrange(len(data) + 1)]
    return text.encode("utf-16", "surrogatepass") if 0.15 <= drawn < 0.18 else data


def _places(value: Any):
    """(holder, key) of every entry below."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        yield value, key
        yield from _places(part)
