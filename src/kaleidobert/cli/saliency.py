"""`kaleidobert saliency`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def saliency(
    paths: Annotated[list[Path], typer.Argument(help="Folders with images/ and masks/, files of equal stems.")],
    out: Annotated[Path, typer.Option(help="The weights to write, for example foreground.safetensors.")],
    synthetic: Annotated[
        int | None, typer.Option(min=1, help="First draw so many photos with masks into the first folder.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Go on from these weights; the package's own: shipped.", metavar="FILE")
    ] = None,
    epochs: Annotated[float, typer.Option(min=0.01, help="Rounds over the pairs.")] = 10,
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="End, well annealed, after so long.")] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Pairs a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest, after warm-up.")] = 3e-3,
    seed: Annotated[int, typer.Option(min=0, help="Same seed and epochs, same photos and weights.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write losses and validation IoU here.")] = None,
) -> None:
    """Train the network that finds a product in its photo, on photos with masks: yours, drawn ones, or both.

    Example: kaleidobert saliency pairs/ --synthetic 6000 --out foreground.safetensors --max-minutes 30
    Then: kaleidobert patches shoe.jpg --out grid.png --saliency foreground.safetensors
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.synthetic.composites import write_composites
    from kaleidobert.training.train_saliency import train_saliency
    from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS

    if start and str(start) == "shipped":
        start = PACKAGED_WEIGHTS
    if synthetic:
        write_composites(paths[0], synthetic, seed)
    figures = train_saliency(paths, out, epochs, max_minutes, batch_size, learning_rate, seed, start, typer.echo)
    typer.echo(f"the weights are in {out}; use them with --saliency {out}")
    write_figures(figures, json)
