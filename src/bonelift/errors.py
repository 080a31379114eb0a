"""The one exception the command line turns into exit status 2."""

from __future__ import annotations

_LONGEST = 650


class InputError(ValueError):
    """The caller's file or option is wrong.

    The message is one line and says what, got, expected, and what to do:
    ``wrist.dcm: no ImagerPixelSpacing (0018,1164), so millimetres are unknown; pass --pixel-spacing-mm``.
    """

    def __init__(self, message: object = "") -> None:
        text = " ".join(str(message).split())  # whatever a file put into it
        super().__init__(text if len(text) <= _LONGEST else f"{text[:400]} ... {text[-200:]}")


class OutputPlaceError(InputError):
    """The place of a result takes nothing more, or is gone.

    That is no fault of the case that was being made: whoever goes on with the next case after an InputError ends here.
    """
