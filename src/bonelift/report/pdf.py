"""The report as a PDF of two sheets, for the file of a case. It needs reportlab (extra ``pdf``)."""

from __future__ import annotations

from importlib.util import find_spec

from bonelift.extras import missing
from bonelift.report.content import ReportContent


def check_pdf_library() -> None:
    """Raises InputError where reportlab is not installed; called before long work that is to end in a PDF."""
    if find_spec("reportlab") is None:
        raise missing("reportlab", "a PDF")


def report_pdf(content: ReportContent) -> bytes:
    """The PDF file of ``content``: two A4 sheets, text that can be searched, no identity.

    Sheet 1 has the overlay, the flags and the bones; sheet 2 the measurements, the facts and the colours. A long table
    is set smaller until it fits. The same content gives the same bytes. Raises InputError without reportlab.
    """
    check_pdf_library()
    from bonelift.report.pdf_sheets import draw_sheets  # The only module that imports reportlab.

    return draw_sheets(content)
