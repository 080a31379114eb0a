"""Is a pose to be trusted? Decided from the convergence record alone, never from the truth.

Trust is a logistic function of three numbers of the record: how similar the images are, how many starts ended there,
and how far the bone can turn before that changes. Its weights come from a regularised logistic regression on 74
registrations of virtual patients (``bonelift simulate --seed 3101``; 14 of them had failed), rounded; no similarity
between 0.42 and 0.65 occurred in them, and the middle was taken for the boundary. How well it tells good from bad on
other patients: docs/results/registration/registration.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonelift.registration.films import FilmPose

TRUSTED_ABOVE = 0.5
_CONSTANT, _SIMILARITY, _AGREEING, _SLACK_DEG = -14.2, 20.0, 4.0, -0.8
_USUAL_SIMILARITY, _USUAL_SLACK_DEG = 0.8, 1.4
"""Of good registrations; what falls short of them most is named as the reason."""
_LEAST_SEEN = 0.5


@dataclass(frozen=True)
class Verdict:
    """trust: 0 to 1, how likely the pose lies within 1 mm in the plane and 2 degrees, going by virtual patients.
    ok: above TRUSTED_ABOVE. reason: why not, in words; "" where ok."""

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
        "slack_turn_deg": float(np.rad2deg(pose.turn_slack)),
        "slack_mm": float(slack[3:5].max()),
        "slack_depth_mm": float(slack[5]),
        "prior_sigmas": float(np.abs(pose.prior_sigmas).max()),
        "seen": pose.seen,
        "evaluations": float(pose.evaluations),
    }


def trust_from(similarity: float, agreeing: float, slack_deg: float) -> float:
    """How likely the pose is good, in [0, 1], from three numbers of :func:`record_of`."""
    logit = _CONSTANT + _SIMILARITY * similarity + _AGREEING * agreeing + _SLACK_DEG * slack_deg
    return float(1 / (1 + np.exp(-logit)))


def judge(found: FilmPose) -> Verdict:
    """The verdict on a registration."""
    record = record_of(found)
    similarity, agreeing, slack_deg = record["similarity"], record["agreeing"], record["slack_deg"]
    trust = trust_from(similarity, agreeing, slack_deg)
    if record["seen"] < _LEAST_SEEN:
        return Verdict(0.0, False, f"only {record['seen']:.0%} of the bone's projection lies inside the image")
    if trust > TRUSTED_ABOVE:
        return Verdict(trust, True, "")
    reasons = {
        f"the edges of bone and image do not match (similarity {similarity:.2f})": (
            _SIMILARITY * (_USUAL_SIMILARITY - similarity)
        ),
        f"only {found.pose.agreeing_starts} of {found.pose.starts} starts ended there": _AGREEING * (1 - agreeing),
        f"the bone can turn by {slack_deg:.1f} degrees and look the same": _SLACK_DEG * (_USUAL_SLACK_DEG - slack_deg),
    }
    return Verdict(trust, False, max(reasons, key=lambda reason: reasons[reason]))
