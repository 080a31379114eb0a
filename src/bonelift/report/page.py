"""What the pages have in common: one look, a strict template, and numbers as people read them."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


@cache
def page_template(package: str, name: str) -> Template:
    """The template ``name`` in ``package``/templates, with the filters "number" and "p" and the function "asset".

    It may extend or include what lies in ``bonelift/report/templates``, above all ``page.html.j2``.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("bonelift.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["p"] = p_value
    environment.globals["asset"] = asset
    return environment.get_template(name)


@cache
def asset(name: str) -> Markup:
    """The text of ``bonelift/report/templates/<name>``: ``page.css`` (the look of all pages), a script."""
    return Markup(resources.files("bonelift.report").joinpath("templates", name).read_text(encoding="utf-8"))


def number(value: float | None, decimals: int = 2) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number."""
    if value is None or not np.isfinite(value):
        return "–"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def p_value(p: float) -> str:
    """Three decimals, or that it is less."""
    return "< 0.001" if p < 0.001 else number(p, 3)
