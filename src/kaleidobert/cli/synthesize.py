"""``kaleidobert synthesize``: a drawn catalogue with ground truth."""

from pathlib import Path
from typing import Annotated

import typer


def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder for train, validation and test parquet.")],
    products: Annotated[int, typer.Option(help="How many products to draw.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed, same catalogue.")] = 0,
) -> None:
    """Draw a fashion catalogue: pictures, texts, masks and word-to-region boxes, split 80/10/10 by product.

    Example: kaleidobert synthesize catalogue --products 2000 --seed 1
    """
    from kaleidobert.synthetic import write_catalogue

    counts = write_catalogue(out, products, seed)
    typer.echo(f"{out}: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
