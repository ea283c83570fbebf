"""The jinja2 templates of the report and the model card."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_ENVIRONMENT = Environment(
    loader=PackageLoader("kaleidobert.evaluation", "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """A template of ``templates/`` with these values; in HTML they are escaped."""
    return _ENVIRONMENT.get_template(template).render(**values)
