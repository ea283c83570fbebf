"""`kaleidobert saliency`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import JsonFile
from kaleidobert.cli.output import check_files
from kaleidobert.errors import InputError


def saliency(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders with images/ and masks/, whose files have the same names.")
    ],
    out: Annotated[Path, typer.Option(help="The weights to write, for example foreground.safetensors.")],
    synthetic: Annotated[
        int | None,
        typer.Option(min=1, help="Draw this number of photos with masks into the first folder before training."),
    ] = None,
    studio: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="With --synthetic: also real products, cut out of the studio shots in this catalogue's train split.",
        ),
    ] = None,
    surfaces: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --synthetic: also use photographs of cloth, wood, stone, … in it as backgrounds.",
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="Initial weights: 'shipped' with the package, a file, or 'imagenet': a new network whose encoder was "
            "trained on ImageNet (extra `pretrained`).",
        ),
    ] = "shipped",
    side: Annotated[
        int, typer.Option(min=64, help="Photos are resized to this side in pixels, a multiple of 32.")
    ] = 160,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the pairs.")] = 10,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Time limit, by which the learning rate decays.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Pairs in a batch.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Peak learning rate, after warm-up; a tenth of it for the encoder.")
    ] = 3e-3,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds and epochs give equal photos and weights.")] = 0,
    json: JsonFile = None,
) -> None:
    """Train the network that segments a product in its photo, on photos with masks: your own, synthetic, or both.

    Example: kaleidobert saliency pairs/ --synthetic 6000 --studio DATA --out foreground.safetensors --max-minutes 30
    Then: kaleidobert patches shoe.jpg --out grid.png --saliency foreground.safetensors
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.synthetic.composites import write_composites
    from kaleidobert.synthetic.studio_shots import sources
    from kaleidobert.training.train_saliency import train_saliency

    check_files(out, json)
    if (studio or surfaces) and not synthetic:
        raise InputError("--studio and --surfaces are what --synthetic draws from: give --synthetic COUNT, too")
    if synthetic:
        write_composites(paths[0], synthetic, seed, *sources(studio, surfaces, seed))
    figures = train_saliency(paths, out, epochs, max_minutes, batch_size, learning_rate, seed, start, side, typer.echo)
    typer.echo(f"weights written to {out}; use them with --saliency {out}")
    write_figures(figures, json)
