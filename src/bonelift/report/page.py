"""What the pages have in common: a template that refuses what it was not given, and numbers as people read them."""

from __future__ import annotations

from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def page_template(package: str, name: str) -> Template:
    """The template ``name`` in ``package``/templates, with the filters "number" and "p"."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["p"] = p_value
    return environment.get_template(name)


def number(value: float | None, decimals: int = 2) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{decimals}f}".replace("-", "−")


def p_value(p: float) -> str:
    """Three decimals, or that it is less."""
    return "< 0.001" if p < 0.001 else number(p, 3)
