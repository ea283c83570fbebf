"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

ImageTemplate = Annotated[
    str | None,
    typer.Option(help="Where photos are: images/{id}.jpg, of columns or of {file}, the last part of an address."),
]
