"""`kaleidobert synthesize`."""

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import check_folder


def synthesize(
    out: Annotated[Path, typer.Argument(help="The folder to write, with a parquet file for each split.")],
    products: Annotated[int, typer.Option(help="Number of products.")] = 1000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal catalogues.")] = 0,
) -> None:
    """Draw a synthetic fashion catalogue with photos, texts, masks, and boxes of the words' regions, split 80/10/10.

    Example: kaleidobert synthesize catalogue --products 2000 --seed 1
    """
    from kaleidobert.synthetic import write_catalogue

    check_folder(out)
    counts = write_catalogue(out, products, seed)
    typer.echo(f"{out}: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
