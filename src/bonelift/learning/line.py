"""The learning line: what is trained from which samples, in which order, and where it is kept.

``bonelift train``, ``bonelift evaluate`` and the packaged model all go this way. A run folder holds a folder for each
stage (checkpoint and learning curve); the same call goes on where it stands. Samples come from a SampleSource: a study,
or virtual patients.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from torch import nn

from bonelift.errors import InputError
from bonelift.learning.bases import BasisChoice, make_bases, read_basis_folder
from bonelift.learning.checkpoint import CHECKPOINT_NAME, load_checkpoint, load_networks, read_state
from bonelift.learning.code_facts import read_codes, without_pictures
from bonelift.learning.descent import train_descent
from bonelift.learning.distributed import barrier, rank
from bonelift.learning.locator import build_locator, train_locator
from bonelift.learning.loop import LoopConfig
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix
from bonelift.learning.presets import Preset
from bonelift.learning.samples import DrrSamples, FilmSamples, chunk_folders, load_samples
from bonelift.learning.shape_regression import Bases, FilmDrrs, build_shape_regressor, train_shape_regressor
from bonelift.learning.targets import TARGETS as TARGETS
from bonelift.learning.targets import Target as Target
from bonelift.learning.tl import TlNetworks, build_tl, load_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.learning.translated import translated
from bonelift.learning.tuning import train_tuning
from bonelift.learning.warm_start import rewritten_codes, start_from, usual_level, with_film_steps, with_new_steps
from bonelift.networks.bundle import ModelBundle
from bonelift.networks.pix2pix import Generator
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, new_shape_reader
from bonelift.networks.supervised_descent import DescentStep
from bonelift.storage.whole import write_whole

StageName = Literal[
    "locator", "pix2pix", "autoencoder", "predictor", "finetune", "shape", "descent", "tuning", "film_descent"
]
STAGES: dict[Target, tuple[StageName, ...]] = {
    "locator": ("locator",),
    "pix2pix": ("pix2pix",),
    "tl": ("autoencoder", "predictor", "finetune"),
    "shape": ("shape", "descent"),
    "tuning": ("tuning", "film_descent"),
}
Kind = Literal["locator", "pix2pix", "shapes", "tl", "bones", "films", "tuning"]
"""What samples are for. shapes: ShapeSamples, for step 1 of the TL net. tl: FilmSamples and ShapeSamples, for steps 2
and 3. bones: DrrSamples and SurfaceSamples, films: FilmSamples and SurfaceSamples, both for S. tuning: FilmSamples and
SurfaceSamples, for the translator."""
KINDS: dict[Target, tuple[Kind, ...]] = {
    "locator": ("locator",),
    "pix2pix": ("pix2pix",),
    "tl": ("shapes", "tl"),
    "shape": ("bones", "films"),
    "tuning": ("tuning", "bones", "films"),
}
BASIS, START_FILE = "basis", "start.json"
Metrics = dict[str, float]


@dataclass(frozen=True)
class SampleFolders:
    """What a stage learns from, and what watches over it."""

    training: Path
    validation: Path


class SampleSource(Protocol):
    """Where samples come from.

    has_films: whether there are films with known DRRs for pix2pix and S. tl_reads_gan: whether step 3 of the TL net
    also learns from the generator's DRRs. shape_from_readings: whether S, where it starts from a trained one, learns
    from the generator's DRRs what that one reads from the true DRRs, and not the true codes.
    """

    @property
    def has_films(self) -> bool: ...
    @property
    def tl_reads_gan(self) -> bool: ...
    @property
    def shape_from_readings(self) -> bool: ...

    def make(self, kinds: Collection[Kind]) -> None:
        """Make what is missing of these kinds of samples; may take long. Only one process calls it."""
        ...

    def folders(self, kind: Kind) -> SampleFolders:
        """Where the samples of a kind lie once they are made."""
        ...

    def facts(self) -> dict[str, Any]:
        """What the samples were made from, for the model card: JSON-able."""
        ...


@dataclass(frozen=True)
class LearningRun:
    """One training.

    folder: has a folder for each stage. seed: of first weights and of batches. basis: of S. start: a trained model
    whose networks the stages begin with instead of weights drawn from the seed.
    """

    folder: Path
    preset: Preset
    seed: int = 0
    basis: BasisChoice | None = None
    start: ModelBundle | None = None

    def stage(self, name: StageName) -> Path:
        """Folder of one stage."""
        return self.folder / name

    def is_done(self, name: StageName) -> bool:
        """Whether a stage has been trained to its end. Raises InputError where its checkpoint cannot be read."""
        path = self.stage(name) / CHECKPOINT_NAME
        return path.is_file() and bool(read_state(path).get("done"))

    def loop(self, loop: LoopConfig) -> LoopConfig:
        """A stage's loop with the seed of the run."""
        return replace(loop, seed=self.seed)


def learn(target: Target | Literal["all"], run: LearningRun, source: SampleSource) -> dict[Target, Metrics]:
    """Train one target, or all that are there, from the samples of ``source``; the last validation of each.

    Raises InputError before samples are made where a target needs another first.
    """
    targets: Sequence[Target] = TARGETS if target == "all" else (target,)
    check_order(targets, run, source.has_films)
    if rank() == 0:
        source.make([kind for each in targets for kind in KINDS[each] if kind != "films" or source.has_films])
    barrier()
    return {each: _LEARN[each](run, source) for each in targets}


def check_order(targets: Sequence[Target], run: LearningRun, has_films: bool) -> None:
    """Raises InputError where a target needs another first, or films where there are none."""
    if not has_films and (lacking := [name for name in ("locator", "pix2pix", "tuning") if name in targets]):
        raise InputError(
            f"{lacking[0]} learns from radiographs whose pose is known (pose_file in study.json), and there are none; "
            "bonelift register finds poses"
        )
    translator = "pix2pix" in targets or run.is_done("pix2pix") or run.start is not None
    if "shape" in targets and has_films and not translator:
        raise InputError(
            f"shape reads films through a translator, and {run.folder} has none; train pix2pix in it first, or all"
        )
    if "tuning" in targets and not translator:
        raise InputError(f"tuning trains a translator on, and {run.folder} has none; train pix2pix in it first, or all")
    has_shape = "shape" in targets or run.is_done("descent") or (run.start is not None and run.start.shape is not None)
    if "tuning" in targets and not has_shape:
        raise InputError(
            f"tuning goes by what the shape regressor reads, and {run.folder} has none; train shape in it first, or all"
        )


def learn_locator(run: LearningRun, samples: SampleFolders) -> Metrics:
    """Where the wrist lies in a whole radiograph."""
    config = run.preset.locator_training
    network = build_locator(run.preset.locator, run.seed, config.device)
    _begin(run, "locator", network, run.start and run.start.locator)
    config = replace(config, loop=run.loop(config.loop))
    return train_locator(samples.training, samples.validation, network, config, run.stage("locator"))


def learn_pix2pix(run: LearningRun, samples: SampleFolders) -> Metrics:
    """From film to DRR."""
    config = run.preset.pix2pix_training
    networks = build_pix2pix(run.preset.pix2pix, run.seed, config.device)
    _begin(run, "pix2pix", networks.generator, run.start and run.start.generator)
    config = replace(config, loop=run.loop(config.loop))
    return train_pix2pix(samples.training, samples.validation, networks, config, run.stage("pix2pix"))


def learn_autoencoder(run: LearningRun, samples: SampleFolders) -> Metrics:
    """Step 1 of Shiode et al. 2021."""
    config = run.preset.autoencoder_training
    networks = build_tl(run.preset.tl, run.seed, config.device)
    _begin(run, "autoencoder", networks.encoder, run.start and run.start.encoder)
    _begin(run, "autoencoder", networks.decoder, run.start and run.start.decoder)
    config = replace(config, loop=run.loop(config.loop))
    return train_autoencoder(samples.training, samples.validation, networks, config, run.stage("autoencoder"))


def learn_predictor(run: LearningRun, samples: SampleFolders) -> Metrics:
    """Step 2, after step 1."""
    config = run.preset.predictor_training
    networks = _tl_networks(run, config.device, None)
    _begin(run, "predictor", networks.predictor, run.start and run.start.predictor)
    config = replace(config, loop=run.loop(config.loop))
    return train_predictor(samples.training, samples.validation, networks, config, run.stage("predictor"))


def learn_finetune(run: LearningRun, samples: SampleFolders, generator: Generator | None = None) -> Metrics:
    """Step 3, after step 2; where a generator is given, also from its DRRs of the films."""
    config = run.preset.finetune_training
    networks = _tl_networks(run, config.device, "predictor")
    config = replace(config, loop=run.loop(config.loop))
    folders = (samples.training, samples.validation)
    drrs = [_translated(folder, generator) if generator else None for folder in folders]
    return train_finetune(*folders, networks, config, run.stage("finetune"), *drrs)


def learn_shape(
    run: LearningRun,
    bones: SampleFolders,
    films: SampleFolders | None = None,
    generator: Generator | None = None,
    from_readings: bool = False,
) -> Metrics:
    """S, from DRRs of bones alone and, where there are films, from what ``generator`` makes of them.

    from_readings: see SampleSource. The bases are those of ``run.folder``; if there are none, the training bones'.
    """
    training = run.preset.shape_training
    training = replace(training, loop=run.loop(training.loop))
    bases = shape_bases(run, bones.training)
    config = shape_config(run.preset, bases, films is not None)
    network = build_shape_regressor(config, bases, run.seed, training.device)
    trained = run.start.shape if run.start else None
    _note_start(run, "shape")
    if trained is not None:
        anew = network.gain_free and not trained.config.gain_free
        start_from(network, trained, bases, usual_level(load_samples(bones.training, DrrSamples).drr) if anew else 1.0)
        # What it knows is to be kept: slower, and more of what is new.
        loop = replace(training.loop, learning_rate=training.start_rate)
        training = replace(training, film_share=0.5, loop=loop)
    seen = None
    validation = FilmDrrs(bones.validation, None)
    if films is not None:
        assert generator is not None
        seen = FilmDrrs(films.training, _translated(films.training, generator))
        if from_readings and trained is not None:
            told, _ = read_codes(trained.network, without_pictures(load_samples(films.training, FilmSamples)))
            seen = replace(seen, read_codes=rewritten_codes(told, (trained.radius, trained.ulna), bases))
        if chunk_folders(films.validation, FilmSamples):
            validation = FilmDrrs(films.validation, _translated(films.validation, generator))
    has_drrs = chunk_folders(bones.validation, DrrSamples) or chunk_folders(bones.validation, FilmSamples)
    if validation.gan_drr is None and not has_drrs:
        raise InputError(f"{bones.validation}: no DRRs to validate S on; make them first")
    train_shape_regressor(bones.training, validation, network, bases, training, run.stage("shape"), seen)
    # In closed form: every process comes to the same steps. They learn the bones themselves, not an earlier reading.
    seen = replace(seen, read_codes=None) if seen else None
    return train_descent(bones.training, validation, network, bases, training, run.stage("descent"), seen)


def learn_tuning(run: LearningRun, seen: SampleFolders, bones: SampleFolders, films: SampleFolders) -> Metrics:
    """The translator by what S reads from its DRRs of the films ``seen``, then the steps of S that see the film anew,
    from what it makes of ``films`` now. Returns the last validation of S."""
    config = run.preset.tuning_training
    config = replace(config, loop=run.loop(config.loop))
    generator, reader = run_generator(run), run_shape(run, tuned=False)
    assert reader is not None
    bases = (reader.radius, reader.ulna)
    _note_start(run, "tuning")
    metrics = train_tuning(
        seen.training, seen.validation, generator, reader.network, bases, config, run.stage("tuning")
    )
    return _fit_film_steps(run, reader, bones, films, generator) if reader.network.film_steps else metrics


def learn_film_steps(run: LearningRun, bones: SampleFolders, films: SampleFolders) -> Metrics:
    """The steps of S that see the film anew, from what the translator of the run makes of ``films`` now. Returns the
    last validation of S."""
    reader = run_shape(run, tuned=False)
    if reader is None or not reader.network.film_steps:
        raise InputError(f"{run.folder}: has no shape regressor with steps that see the film")
    return _fit_film_steps(run, reader, bones, films, run_translator(run))


def learn_steps(run: LearningRun, bones: SampleFolders, films: SampleFolders) -> Metrics:
    """All descent steps of the S that a run starts from anew, as many as the preset has; its convolutions stay as they
    are. What comes of it is the run's own S, so its folder has to hold the bases of that S. Returns the last validation
    of S."""
    if run.start is None or run.start.shape is None:
        raise InputError(f"{run.folder}: starts from no shape regressor whose steps could be fitted anew")
    _note_start(run, "descent")
    reader = with_new_steps(run.start.shape, run.preset.shape)
    return _fit_steps(run, reader, bones, films, run_translator(run), "descent")


def _fit_film_steps(
    run: LearningRun, reader: ShapeReader, bones: SampleFolders, films: SampleFolders, generator: Generator
) -> Metrics:
    for step in reader.network.descent[-reader.network.film_steps :]:
        cast(DescentStep, step).reset()
    return _fit_steps(run, reader, bones, films, generator, "film_descent")


def _fit_steps(
    run: LearningRun,
    reader: ShapeReader,
    bones: SampleFolders,
    films: SampleFolders,
    generator: Generator,
    stage: StageName,
) -> Metrics:
    """Fit the steps of ``reader`` that change nothing yet, in place."""
    seen, validation = (FilmDrrs(each, _translated(each, generator)) for each in (films.training, films.validation))
    training = replace(run.preset.shape_training, loop=run.loop(run.preset.shape_training.loop))
    bases = (reader.radius, reader.ulna)
    return train_descent(bones.training, validation, reader.network, bases, training, run.stage(stage), seen)


def shape_bases(run: LearningRun, surfaces: Path) -> Bases:
    """The bases of a run, made of the SurfaceSamples in ``surfaces`` where there are none yet."""
    folder = run.folder / BASIS
    if rank() == 0:
        make_bases(folder, surfaces, basis_choice(run))
    barrier()
    return make_bases(folder, surfaces, basis_choice(run))


def basis_choice(run: LearningRun) -> BasisChoice:
    return run.basis or BasisChoice(run.preset.shape_modes)


def shape_config(preset: Preset, bases: Bases, reads_film: bool) -> ShapeConfig:
    """Sizes of S for these bases."""
    radius, ulna = (basis.length for basis in bases)
    film_shape = preset.tl.film_shape
    return replace(
        preset.shape, outputs=radius + ulna, radius_outputs=radius, reads_film=reads_film, film_shape=film_shape
    )


def run_generator(run: LearningRun) -> Generator:
    """The translator that a run has trained, or the one that it started from. Raises InputError where there is none."""
    if run.start is not None and not run.is_done("pix2pix"):
        return copy.deepcopy(run.start.generator)
    generator = build_pix2pix(run.preset.pix2pix, run.seed, run.preset.shape_training.device).generator
    load_networks(run.stage("pix2pix"), {"generator": generator})
    return generator.eval()


def run_translator(run: LearningRun) -> Generator:
    """The translator that a model of the run takes: tuned, if that is done; see :func:`run_generator`."""
    generator = run_generator(run)
    if run.is_done("tuning"):
        load_networks(run.stage("tuning"), {"generator": generator})
    return generator.eval()


def run_shape(run: LearningRun, tuned: bool = True) -> ShapeReader | None:
    """The S that a run has trained, or the one that it started from; None where there is neither. tuned: with the film
    steps for a tuned translator, if they are done."""
    if run.is_done("descent"):
        radius, ulna = read_basis_folder(run.folder / BASIS)
        weights, _ = load_checkpoint(run.stage("descent") / CHECKPOINT_NAME)
        # DRR, view and, where S reads films, the film.
        reads_film = weights["network/shape_regressor/convolutions.0.weight"].shape[1] == 3
        reader = new_shape_reader(shape_config(run.preset, (radius, ulna), reads_film), radius, ulna)
        load_networks(run.stage("descent"), {"shape_regressor": reader.network})
    elif run.start is not None and run.start.shape is not None:
        reader = with_film_steps(run.start.shape, run.preset.shape.film_steps)
    else:
        return None
    if tuned and run.is_done("film_descent"):
        load_networks(run.stage("film_descent"), {"shape_regressor": reader.network})
    return reader


def _learn_tl(run: LearningRun, source: SampleSource) -> Metrics:
    """The three steps of Shiode et al. 2021."""
    learn_autoencoder(run, source.folders("shapes"))
    learn_predictor(run, source.folders("tl"))
    has_translator = run.is_done("pix2pix") or run.start is not None
    generator = run_generator(run) if source.tl_reads_gan and has_translator else None
    return learn_finetune(run, source.folders("tl"), generator)


def _learn_shape(run: LearningRun, source: SampleSource) -> Metrics:
    films = source.folders("films") if source.has_films else None
    generator = run_generator(run) if films else None
    return learn_shape(run, source.folders("bones"), films, generator, source.shape_from_readings)


_LEARN: dict[Target, Callable[[LearningRun, SampleSource], Metrics]] = {
    "locator": lambda run, source: learn_locator(run, source.folders("locator")),
    "pix2pix": lambda run, source: learn_pix2pix(run, source.folders("pix2pix")),
    "tl": _learn_tl,
    "shape": _learn_shape,
    "tuning": lambda run, source: learn_tuning(run, *(source.folders(kind) for kind in ("tuning", "bones", "films"))),
}


def _tl_networks(run: LearningRun, device: str, predictor: StageName | None) -> TlNetworks:
    networks = build_tl(run.preset.tl, run.seed, device)
    load_tl(networks, run.stage("autoencoder"), run.stage(predictor) if predictor else None, None)
    return networks


def _translated(folder: Path, generator: Generator) -> Any:
    """By the first process; the others read what it wrote."""
    if rank() == 0:
        translated(folder, generator)
    barrier()
    return translated(folder, generator)


def _begin(run: LearningRun, stage: StageName, network: nn.Module, trained: nn.Module | None) -> None:
    """Give a stage's network the weights of a trained one, where there is one to start from."""
    _note_start(run, stage)
    if trained is None:
        return
    try:
        network.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{stage}: the model to start from has other sizes than preset {run.preset.name} ({reason}); start without "
            "it, or pass the preset that it was made with"
        ) from error
    network.requires_grad_(True)


def _note_start(run: LearningRun, stage: StageName) -> None:
    """What a stage started from, which going on with it may not change."""
    known = run.stage(stage) / START_FILE
    start = {"model": run.start.name, "weights_sha256": run.start.weights_sha256} if run.start else {"model": None}
    if known.is_file() and json.loads(known.read_text(encoding="utf-8")) != start:
        raise InputError(f"{run.stage(stage)}: was started from another model; pass another run folder or delete it")
    if rank() == 0:
        known.parent.mkdir(parents=True, exist_ok=True)
        write_whole(known, json.dumps(start) + "\n")
    barrier()
