"""`kaleidobert describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def describe(
    image: Annotated[Path, typer.Argument(help="The photo.")],
    model: Annotated[list[Path], typer.Option(help="Runs of finetune category, subcategory, captioning.")],
    text: Annotated[str | None, typer.Option(help="The product's text, for runs that read it.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write classes and probabilities here.")] = None,
) -> None:
    """Tell a new photo's title, category and sub-category: of classes the three likeliest, with their probabilities.

    Example: kaleidobert describe shoe.jpg --model runs/category --model runs/subcategory
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.images import open_photo
    from kaleidobert.model.describing import describe as run

    found = run(open_photo(image), model, text)
    for name, told in found.items():
        if name != "title":
            told = ", ".join(f"{each['label']} {each['probability']:.1f} %" for each in told)
        typer.echo(f"{name}: {told}")
    write_figures(found, json)
