"""`kaleidobert describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def describe(
    image: Annotated[Path, typer.Argument(help="The photo.")],
    model: Annotated[list[Path], typer.Option(help="A run of finetune category or subcategory; may be given twice.")],
    text: Annotated[str | None, typer.Option(help="The product's text, for runs that read it.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write classes and probabilities here.")] = None,
) -> None:
    """Tell a new photo's category and sub-category: the three likeliest, each with its probability.

    Example: kaleidobert describe shoe.jpg --model runs/category --model runs/subcategory
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.cli.patches import open_photo
    from kaleidobert.model.describing import describe as run

    found = run(open_photo(image), model, text)
    for task, classes in found.items():
        told = ", ".join(f"{each['label']} {each['probability']:.1f} %" for each in classes)
        typer.echo(f"{task}: {told}")
    write_figures(found, json)
