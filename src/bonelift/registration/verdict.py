"""Is a pose to be trusted? Decided from the convergence record alone, never from the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonelift.registration.films import FilmPose

TRUSTED_ABOVE = 0.5


@dataclass(frozen=True)
class Verdict:
    """trust: 0 to 1, how likely the pose lies within 1 mm in the plane and 2 degrees, going by the virtual patients on
    which the weights below were fitted. ok: trusted. reason: why not, in words; "" where ok."""

    trust: float
    ok: bool
    reason: str


def record_of(found: FilmPose) -> dict[str, float]:
    """The convergence record as numbers by name: degrees, mm, shares in [0, 1]; NaN where undefined."""
    pose = found.pose
    spread, slack = np.array(pose.spread), np.array(pose.slack)
    return {
        "similarity": pose.similarity,
        "overlap": found.overlap,
        "agreeing": pose.agreeing_starts / pose.starts,
        "spread_deg": float(np.rad2deg(np.linalg.norm(spread[:3]))),
        "spread_mm": float(np.linalg.norm(spread[3:5])),
        "slack_deg": float(np.rad2deg(slack[:3].max())),
        "slack_mm": float(slack[3:5].max()),
        "slack_depth_mm": float(slack[5]),
        "prior_sigmas": float(np.abs(pose.prior_sigmas).max()),
        "seen": pose.seen,
        "evaluations": float(pose.evaluations),
    }


def judge(found: FilmPose) -> Verdict:
    """Placeholder until fitted."""
    ok = found.pose.converged
    return Verdict(float(ok), ok, found.pose.reason)
