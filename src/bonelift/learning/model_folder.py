"""A run's networks as a model that ``bonelift reconstruct --model`` takes: with what is known of their codes, the ONNX
graphs, and a card that says what it was made from."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bonelift import __version__
from bonelift.learning.bases import basis_facts
from bonelift.learning.checkpoint import CHECKPOINT_NAME, load_networks, read_state
from bonelift.learning.code_facts import as_films, code_spread, read_codes, shape_errors
from bonelift.learning.line import BASIS, STAGES, LearningRun, SampleSource, StageName, run_shape, run_translator
from bonelift.learning.locator import build_locator
from bonelift.learning.loop import read_curve
from bonelift.learning.model_card import CARD_NAME, model_card
from bonelift.learning.outlines import fit_outlines
from bonelift.learning.samples import DrrSamples, FilmSamples, SurfaceSamples, chunk_folders, load_samples
from bonelift.learning.shape_regression import Coded, FilmDrrs, load_bones, load_films, validation_sources
from bonelift.learning.tl import build_tl, load_tl
from bonelift.learning.translated import translated
from bonelift.networks.bundle import ModelBundle, new_bundle, save_bundle
from bonelift.networks.onnx_export import add_graphs, can_export
from bonelift.networks.outlines import Outlines, Source
from bonelift.storage.whole import whole_folder, write_whole

MODEL = "model"
NEEDED = ("locator", "pix2pix", "tl")
"""Without these there is no model; S makes it better."""


def missing_targets(run: LearningRun) -> list[str]:
    """The targets without which there is no model, and which neither the run has trained nor it started from."""
    if run.start is not None:
        return []
    return [name for name in NEEDED if not all(run.is_done(stage) for stage in STAGES[name])]


def write_model(run: LearningRun, source: SampleSource) -> Path:
    """Write ``run.folder/model``, whole, from the stages that are done; what was not trained is that of ``run.start``.

    With ONNX graphs where what writes them is installed; without, the model needs torch. Call it where
    ``missing_targets`` is empty.
    """
    folder = run.folder / MODEL
    records = stage_records(run)
    bundle = model_of_run(run, source, run.folder.resolve().name)
    known = bundle.metadata.get("training", [])
    metadata = {**bundle.metadata, "training": [*known, {"data": source.facts(), "stages": records}]}
    bundle = replace(bundle, metadata=metadata)
    with whole_folder(folder, "replace") as staging:
        save_bundle(bundle, staging)
        if can_export():
            add_graphs(staging)
        made_by = {
            "bonelift": __version__,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "date": datetime.now(UTC).date().isoformat(),
            "seed": run.seed,
            "preset": run.preset.name,
            "started from": run.start.name if run.start else "nothing",
        }
        write_whole(staging / CARD_NAME, model_card(bundle, records, source.facts(), made_by))
    return folder


def model_of_run(run: LearningRun, source: SampleSource, name: str) -> ModelBundle:
    """The networks of the stages that are done, others those of ``run.start``, with what is known of their codes."""
    bundle = trained_bundle(run)
    if _has_new_shape(run):
        bundle = replace(bundle, outlines=outlines_of_run(run, source, bundle))
    facts = trained_facts(run, source, bundle)
    # What is known of another S says nothing of this one.
    kept = {
        k: v for k, v in bundle.metadata.items() if not (_has_new_shape(run) and k.startswith(("shape_", "expected_")))
    }
    return replace(bundle, name=name, metadata={**kept, **facts, "preset": run.preset.name})


def trained_bundle(run: LearningRun) -> ModelBundle:
    """The networks of the stages that are done, on the CPU; others are those of ``run.start``, or untrained."""
    preset, seed = run.preset, run.seed
    bundle = run.start or new_bundle(run.folder.name, preset.grid, preset.tl, preset.pix2pix, preset.locator)
    if run.is_done("finetune"):
        tl = build_tl(preset.tl, seed)
        load_tl(tl, run.stage("autoencoder"), run.stage("finetune"), run.stage("finetune"))
        bundle = replace(
            bundle, grid=preset.grid, tl=preset.tl, encoder=tl.encoder, decoder=tl.decoder, predictor=tl.predictor
        )
    if run.is_done("pix2pix"):
        bundle = replace(bundle, pix2pix=preset.pix2pix)
    if run.is_done("pix2pix") or run.is_done("tuning"):
        bundle = replace(bundle, generator=run_translator(run).to("cpu"))
    if run.is_done("locator"):
        locator = build_locator(preset.locator, seed)
        load_networks(run.stage("locator"), {"locator": locator})
        bundle = replace(bundle, locator_config=preset.locator, locator=locator)
    # What corrects another S by outlines says nothing of this one.
    return replace(bundle, shape=run_shape(run), outlines={}) if _has_new_shape(run) else bundle


def trained_facts(run: LearningRun, source: SampleSource, bundle: ModelBundle) -> dict[str, Any]:
    """Metadata that the use of P and S needs, of those that the run has trained: spread of their codes over training
    images ("latent", "shape_code"), errors of S ("shape_error_sd", "shape_sd_factor", "expected_error"), origin of the
    bases."""
    facts: dict[str, Any] = {}
    if run.is_done("finetune"):
        codes, _ = read_codes(bundle.predictor, load_samples(source.folders("tl").training, FilmSamples))
        facts["latent"] = code_spread(codes)
    if _has_new_shape(run):
        assert bundle.shape is not None
        if run.is_done("descent"):
            facts["shape_basis"] = asdict(basis_facts(run.folder / BASIS))
        elif run.start is not None and "shape_basis" in run.start.metadata:
            facts["shape_basis"] = run.start.metadata["shape_basis"]
        training, _ = _seen_by_shape(run, source, "training")
        facts["shape_code"] = code_spread(read_codes(bundle.shape.network, training)[0])
        facts |= error_facts(run, source, bundle)
    return facts


def error_facts(run: LearningRun, source: SampleSource, bundle: ModelBundle) -> dict[str, Any]:
    """Metadata of how far S, corrected by the outlines of ``bundle``, is off on the validation patients."""
    assert bundle.shape is not None
    bases = (bundle.shape.radius, bundle.shape.ulna)
    validation, folder = _seen_by_shape(run, source, "validation")
    kind: Source = "film" if validation.radiograph.any() else "drr"
    surfaces = load_samples(folder, SurfaceSamples)
    facts = shape_errors(bundle.shape.network, validation, surfaces, bases, bundle.outlines, kind)
    patients = len(set(validation.patient.tolist()))
    return facts | {"shape_validation": {"films": len(validation.drr), "patients": patients}}


def outlines_of_run(run: LearningRun, source: SampleSource, bundle: ModelBundle) -> Outlines:
    """What corrects the S of ``bundle`` by outlines, learned from what S learned from."""
    assert bundle.shape is not None
    bases = (bundle.shape.radius, bundle.shape.ulna)
    bones = source.folders("bones")
    training: dict[Source, Coded] = {"drr": load_bones(bones.training, bases, None).coded}
    watching = FilmDrrs(bones.validation, None)
    if source.has_films:
        films, generator = source.folders("films"), run_translator(run)
        training["film"] = load_films(FilmDrrs(films.training, translated(films.training, generator)), bases)[1]
        if chunk_folders(films.validation, FilmSamples):
            watching = FilmDrrs(films.validation, translated(films.validation, generator))
    watched = validation_sources(watching, bases, reads_film=True)
    validation: dict[Source, Coded] = {kind: watched[kind] for kind in training if kind in watched}
    preset = run.preset
    return fit_outlines(
        bundle.shape.network, bases, training, validation, preset.shape_training, preset.outline_training, run.seed
    )


def _has_new_shape(run: LearningRun) -> bool:
    """Whether S, or the translator that it reads through, is another than that of ``run.start``."""
    return run.is_done("descent") or run.is_done("tuning")


def _seen_by_shape(run: LearningRun, source: SampleSource, part: str) -> tuple[FilmSamples, Path]:
    """What S reads of one part, as in use: the generator's DRRs with their films; CT-DRRs where there are no films. And
    the folder with their surfaces."""
    if source.has_films:
        folder = getattr(source.folders("films"), part)
        if chunk_folders(folder, FilmSamples):
            return replace(load_samples(folder, FilmSamples), drr=translated(folder, run_translator(run))), folder
    folder = getattr(source.folders("bones"), part)
    return as_films(load_samples(folder, DrrSamples)), folder


def stage_records(run: LearningRun) -> list[dict[str, Any]]:
    """Of each stage that is done: updates, minutes, settings and last validation."""
    records = []
    for stages in STAGES.values():
        records += [_record(run, stage) for stage in stages if run.is_done(stage)]
    return records


def _record(run: LearningRun, stage: StageName) -> dict[str, Any]:
    state: Mapping[str, Any] = read_state(run.stage(stage) / CHECKPOINT_NAME)
    return {
        "stage": stage,
        "updates": state["update"],
        "minutes": round(state["seconds"] / 60, 2),
        "batch": state["facts"]["batch"],
        "seed": state["config"]["seed"],
        "metrics": state["metrics"],
        "curve": _thinned(run.stage(stage)),
    }


def _thinned(stage: Path, most: int = 8) -> list[dict[str, float]]:
    """Up to ``most`` validations of a stage's learning curve, evenly spread, the last among them."""
    rows = [row for row in read_curve(stage) if any(name.startswith("validation/") for name in row)]
    chosen = sorted({round(number) for number in torch.linspace(0, len(rows) - 1, min(most, len(rows))).tolist()})
    return [rows[number] for number in chosen]
