"""What a film's file does not say and nobody gave: all of it in one message, with the options that give it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bonelift.errors import InputError
from bonelift.images.recorded_image import RecordedImage

FactName = Literal["side", "view", "pixel_spacing"]
_WORDS: dict[FactName, str] = {"side": "which side it shows", "view": "which view it shows"}
_OPTIONS: dict[FactName, str] = {
    "side": "--side left or right",
    "view": "--view pa or lateral",
    "pixel_spacing": "--pixel-spacing-mm",
}


@dataclass(frozen=True)
class MissingFact:
    """A fact without which there is no answer. name: of the fact. option: what gives it on the command line. reason:
    why it is not known, as part of a sentence."""

    name: FactName
    option: str
    reason: str


@dataclass(frozen=True)
class FilmWithoutFacts:
    """missing: what the film called ``name`` needs. unsaid: options whose facts are assumed or read from the picture
    where nobody gives them: "--sdd-mm"."""

    name: str
    missing: tuple[MissingFact, ...]
    unsaid: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """ "the file does not say which side it shows and which view it shows"."""
        said = [fact.reason for fact in self.missing if fact.name != "pixel_spacing"]
        spacing = [
            f"{fact.reason}, so millimetres are unknown" for fact in self.missing if fact.name == "pixel_spacing"
        ]
        return "; ".join([f"the file does not say {' and '.join(said)}"] * bool(said) + spacing)


class MissingFactsError(InputError):
    """Facts that somebody has to give before a film can be read. films: one entry for each film that lacks some."""

    def __init__(self, films: Sequence[FilmWithoutFacts]) -> None:
        self.films = tuple(films)
        options = _unique(fact.option for film in films for fact in film.missing)
        several = len(films) > 1 and any("--view" in option for option in options)
        each = " (--view once for each image, in order)" if several else ""
        unsaid = _unique(option for film in films for option in film.unsaid)
        also = ""
        if len(options) > 1 and unsaid:
            also = f"; assumed or read from the picture unless given: {', '.join(unsaid)}"
        sentences = "; ".join(f"{film.name}: {film.sentence}" for film in films)
        super().__init__(f"{sentences}; pass {', '.join(options)}{each}{also}")


def missing_facts(
    recorded: RecordedImage, side: str | None, view: str | None, millimetres_given: bool
) -> tuple[MissingFact, ...]:
    """The facts that neither the file nor the caller tells.

    side, view: as the caller gave them. millimetres_given: whether the caller gave a pixel spacing or a camera.
    """
    known: dict[FactName, str | None] = {"side": side or recorded.side, "view": view or recorded.view}
    found = [MissingFact(name, _OPTIONS[name], _WORDS[name]) for name, value in known.items() if value is None]
    if not millimetres_given and recorded.detector_spacing_mm is None and recorded.object_spacing_mm is None:
        found.append(MissingFact("pixel_spacing", _OPTIONS["pixel_spacing"], recorded.no_spacing_reason))
    return tuple(found)


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
