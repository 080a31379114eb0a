"""What the server takes on: sizes, counts, times. Everything beyond is refused with a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """film_bytes, mesh_bytes, json_bytes: largest body of an upload and of a request.
    wrists: cases at once; queued: jobs that wait while one runs; reading: files that are looked at at the same time, as
    many again may wait.
    job_s, look_s: longest time of a reconstruction, and of reading or comparing a file; memory_gib: what a child
    process may take (where the system can hold it to that).
    idle_s: longest pause in an upload; upload_s: longest upload; head_s: longest time until a request is sent whole.
    connections: at once. changes_per_s, changes_at_once, reads_per_s, reads_at_once: of one address.
    """

    film_bytes: int = 256 << 20
    mesh_bytes: int = 64 << 20
    json_bytes: int = 64 << 10
    wrists: int = 20
    queued: int = 3
    reading: int = 2
    job_s: float = 600.0
    look_s: float = 60.0
    memory_gib: float = 6.0
    idle_s: float = 20.0
    upload_s: float = 300.0
    head_s: float = 15.0
    connections: int = 100
    changes_per_s: float = 5.0
    changes_at_once: int = 30
    reads_per_s: float = 50.0
    reads_at_once: int = 200
