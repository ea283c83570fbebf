"""`kaleidobert describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import JsonFile
from kaleidobert.cli.output import check_files


def describe(
    image: Annotated[Path, typer.Argument(help="The photo.")],
    model: Annotated[
        list[Path], typer.Option(help="A run fine-tuned for category, subcategory or captioning; repeat for several.")
    ],
    text: Annotated[str | None, typer.Option(help="The product's text, for runs that classify by text.")] = None,
    json: JsonFile = None,
) -> None:
    """Describe a photo: a generated title, and the three most probable categories and sub-categories.

    Example: kaleidobert describe shoe.jpg --model runs/category --model runs/captions

    Example: kaleidobert describe shoe.jpg --model runs/subcategory --text "white leather trainers" --json shoe.json
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.images import open_photo
    from kaleidobert.model.describing import Describer

    check_files(json)
    description = Describer(model).describe(open_photo(image), text)
    for field, value in description.items():
        if field != "title":
            value = ", ".join(f"{each['label']} {each['probability']:.1f} %" for each in value)
        typer.echo(f"{field}: {value}")
    write_figures(description, json)
