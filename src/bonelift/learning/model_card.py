"""MODEL_CARD.md of a trained model: what it is, from whom, how long, how good, as far as its own training knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bonelift import RESEARCH_NOTICE
from bonelift.networks.bundle import ModelBundle

CARD_NAME = "MODEL_CARD.md"


def model_card(
    bundle: ModelBundle, stages: Sequence[Mapping[str, Any]], data: Mapping[str, Any], made_by: Mapping[str, Any]
) -> str:
    """The card's text. stages: of ``stage_records``; data: of the samples; made_by: versions, seed and the like."""
    parts = [
        f"# Model card: `{bundle.name}`",
        "Reconstructs the distal radius and ulna from one PA or lateral wrist radiograph, or one of each. "
        f"{RESEARCH_NOTICE}",
        "## Made by",
        _table(("what", "value"), list(made_by.items())),
        "## Trained on",
        _table(("what", "value"), [(name, _words(value)) for name, value in data.items()]),
        "## How it was trained",
        _table(
            ("stage", "updates", "batch", "minutes", "seed", "last validation"),
            [
                (s["stage"], s["updates"], s["batch"], s["minutes"], s["seed"], _words(s["metrics"]) or "none")
                for s in stages
            ],
        ),
        *_shape_part(bundle),
        "## Learning curves",
        "Validations on the way, up to eight a stage; `curve.jsonl` in the stage's folder of the run has all of them.",
        *[_curve(stage) for stage in stages],
        "## Limits",
        "What it has not been trained on it does not know: other ages, fractures, casts, metal, other machines. "
        "`reconstruct` flags what lies outside the spread of the training codes; a flag may be missing. The errors "
        "above are those of the validation patients, who also watched over the training: test it on other patients.",
    ]
    return "\n\n".join(parts) + "\n"


def _shape_part(bundle: ModelBundle) -> list[str]:
    """Bases and errors of the shape regressor, or that there is none."""
    if bundle.shape is None:
        return ["The model has no shape regressor; `reconstruct` takes the TL-embedding network."]
    basis = bundle.metadata.get("shape_basis", {})
    count = bundle.metadata.get("shape_validation", {})
    views = ", ".join(bundle.metadata.get("shape_error_sd", {})) or "no view"
    return [
        "## Shape regressor",
        f"Bases: {len(bundle.shape.radius.modes)} modes of the radius, {len(bundle.shape.ulna.modes)} of the ulna, "
        f"from {basis.get('origin', 'the model that this one started from')}. It reads the "
        f"{'film beside the DRR' if bundle.reads_film else 'DRR alone'}. Errors of its codes are known for {views}, "
        f"from {count.get('films', 'an unknown number of')} images of {count.get('patients', 'an unknown number of')} "
        "validation patients (`shape_error_sd` in config.json); a view that is missing there counts as one standard "
        "deviation where two films are weighed.",
        _outlines(bundle),
    ]


def _outlines(bundle: ModelBundle) -> str:
    """Which pictures are corrected by outlines."""
    names = {"drr": "DRRs of CTs", "film": "films"}
    kinds = [f"{view.upper() if view == 'pa' else view} {names[source]}" for view, source in bundle.outlines]
    if not kinds:
        return "No reading is corrected by the outlines of its bones."
    return f"Readings are corrected by the outlines of their bones: {', '.join(kinds)}."


def _curve(stage: Mapping[str, Any]) -> str:
    rows = [{k.removeprefix("validation/"): v for k, v in row.items()} for row in stage["curve"]]
    if not rows:
        return f"{stage['stage']}: no validation"
    names = list(rows[-1])
    return f"{stage['stage']}\n\n" + _table(names, [[row.get(name, "") for name in names] for row in rows])


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)
