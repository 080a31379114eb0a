"""Is a pose to be trusted? Decided from the convergence record alone, never from the truth.

Trust is a logistic function of three numbers of the record: how similar the images are, how many starts ended there,
and how far the bone can turn before that changes. Its weights come from a regularised logistic regression on 74
registrations of virtual patients (``bonelift simulate --seed 3101``; 14 of them had failed), rounded; no similarity
between 0.42 and 0.65 occurred in them, and the middle was taken for the boundary. How well it tells good from bad on
other patients: docs/results/registration/registration.md.

A bone that is nearly round, the ulna, can turn about its own axis and look the same: in one view the best match itself
is then off by some degrees, from whatever start (from the truth, too). In 14 registrations of ulnas of 8 patients of
that cohort in one view, the angle was off by 0.42 (RMS; 0.05 to 0.93) of the slack of the turn (one that failed
otherwise left out). So the turn is known to that, which is part of the trust; and where it may be off by more than 2
degrees, the verdict says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bonelift.registration.convergence import LEAST_SEEN
from bonelift.registration.films import FilmPose

TRUSTED_ABOVE = 0.5
_CONSTANT, _SIMILARITY, _AGREEING, _SLACK_DEG = -14.2, 20.0, 4.0, -0.8
_USUAL_SIMILARITY, _USUAL_SLACK_DEG = 0.8, 1.4
"""Of good registrations; what falls short of them most is named as the reason."""
_TURN_ERROR_OF_SLACK = 0.42
"""SD of the turn about the bone's own axis, as a share of its slack."""
_TURN_WANTED_DEG = 2.0
_CERTAIN_SIGMAS = 2.0
Kind = Literal["ok", "turn undecided", "failed"]


@dataclass(frozen=True)
class Verdict:
    """trust: 0 to 1, how likely the pose lies within 1 mm in the plane and 2 degrees, going by virtual patients.
    kind: "failed" up to TRUSTED_ABOVE; "turn undecided" where only the turn about the bone's own axis may be off by
    more than 2 degrees. reason: why not ok, in words; "" where ok."""

    trust: float
    kind: Kind
    reason: str

    @property
    def ok(self) -> bool:
        return self.kind == "ok"


def record_of(found: FilmPose) -> dict[str, float]:
    """The convergence record as numbers by name: degrees, mm, shares in [0, 1]; NaN where undefined, as the turn about
    its own axis is of two bones side by side."""
    pose = found.pose
    spread, slack = np.array(pose.spread), np.array(pose.slack)
    return {
        "similarity": pose.similarity,
        "overlap": found.overlap,
        "agreeing": pose.agreeing_starts / pose.starts,
        "spread_deg": float(np.rad2deg(np.linalg.norm(spread[:3]))),
        "spread_mm": float(np.linalg.norm(spread[3:5])),
        "slack_deg": float(np.rad2deg(slack[:3].max())),
        "slack_turn_deg": math.nan if found.part == "both" else float(np.rad2deg(pose.turn_slack)),
        "slack_mm": float(slack[3:5].max()),
        "slack_depth_mm": float(slack[5]),
        "prior_sigmas": float(np.abs(pose.prior_sigmas).max()),
        "seen": pose.seen,
        "evaluations": float(pose.evaluations),
    }


def trust_from(similarity: float, agreeing: float, slack_deg: float, slack_turn_deg: float) -> float:
    """How likely the pose is good, in [0, 1], from four numbers of :func:`record_of`."""
    logit = _CONSTANT + _SIMILARITY * similarity + _AGREEING * agreeing + _SLACK_DEG * slack_deg
    trust = float(1 / (1 + np.exp(-logit)))
    turn_deg = turn_error_deg(slack_turn_deg)
    return trust * math.erf(_TURN_WANTED_DEG / (turn_deg * math.sqrt(2))) if turn_deg > 0 else trust


def turn_error_deg(slack_turn_deg: float) -> float:
    """SD of the turn about the bone's own axis; NaN for two bones as one."""
    return _TURN_ERROR_OF_SLACK * slack_turn_deg


def kind_from(trust: float, slack_turn_deg: float) -> Kind:
    if trust <= TRUSTED_ABOVE:
        return "failed"
    return "turn undecided" if _CERTAIN_SIGMAS * turn_error_deg(slack_turn_deg) > _TURN_WANTED_DEG else "ok"


def pose_verdict(found: FilmPose) -> Verdict:
    """The verdict on a registration, with its reason."""
    record = record_of(found)
    similarity, agreeing, slack_deg = record["similarity"], record["agreeing"], record["slack_deg"]
    slack_turn_deg = record["slack_turn_deg"]
    trust = trust_from(similarity, agreeing, slack_deg, slack_turn_deg)
    if record["seen"] < LEAST_SEEN:
        return Verdict(0.0, "failed", f"only {record['seen']:.0%} of the bone's projection lies inside the image")
    kind = kind_from(trust, slack_turn_deg)
    if kind == "ok":
        return Verdict(trust, kind, "")
    if kind == "turn undecided":
        known_deg = _CERTAIN_SIGMAS * turn_error_deg(slack_turn_deg)
        return Verdict(trust, kind, f"the turn about the bone's own axis is known to {known_deg:.1f} degrees only")
    reasons = {
        f"the edges of bone and image do not match (similarity {similarity:.2f})": (
            _SIMILARITY * (_USUAL_SIMILARITY - similarity)
        ),
        f"only {found.pose.agreeing_starts} of {found.pose.starts} starts ended there": _AGREEING * (1 - agreeing),
        f"the bone can turn by {slack_deg:.1f} degrees and look the same": _SLACK_DEG * (_USUAL_SLACK_DEG - slack_deg),
    }
    return Verdict(trust, kind, max(reasons, key=lambda reason: reasons[reason]))
