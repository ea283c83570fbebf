"""`kaleidobert saliency`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import check_files


def saliency(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders with images/ and masks/, whose files have the same names.")
    ],
    out: Annotated[Path, typer.Option(help="The weights to write, for example foreground.safetensors.")],
    synthetic: Annotated[
        int | None,
        typer.Option(min=1, help="Draw this number of photos with masks into the first folder before training."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Start from these weights; 'shipped' are the package's own.", metavar="FILE")
    ] = None,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the pairs.")] = 10,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Time limit, by which the learning rate decays.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Pairs in a batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak learning rate, after warm-up.")] = 3e-3,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds and epochs give equal photos and weights.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write losses and validation IoU to this file.")] = None,
) -> None:
    """Train the network that segments a product in its photo, on photos with masks: your own, synthetic, or both.

    Example: kaleidobert saliency pairs/ --synthetic 6000 --out foreground.safetensors --max-minutes 30
    Then: kaleidobert patches shoe.jpg --out grid.png --saliency foreground.safetensors
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.synthetic.composites import write_composites
    from kaleidobert.training.train_saliency import train_saliency
    from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS

    check_files(out, json)
    if start and str(start) == "shipped":
        start = PACKAGED_WEIGHTS
    if synthetic:
        write_composites(paths[0], synthetic, seed)
    figures = train_saliency(paths, out, epochs, max_minutes, batch_size, learning_rate, seed, start, typer.echo)
    typer.echo(f"weights written to {out}; use them with --saliency {out}")
    write_figures(figures, json)
