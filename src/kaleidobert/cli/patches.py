"""`kaleidobert patches`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kaleidobert.cli.align import Source
from kaleidobert.cli.output import check_picture, save_picture

if TYPE_CHECKING:
    from kaleidobert.levels import Level

LARGEST_GRID = 16


def patches(
    image: Annotated[Path, typer.Argument(help="The photo.")],
    out: Annotated[Path, typer.Option(help="The picture to write, for example grid.png.")],
    levels: Annotated[str, typer.Option(help="Sides of the grids; N means N x N patches.")] = "1,2,3,4,5",
    saliency: Annotated[
        str, typer.Option(help="border-colour, network, none, a file of weights, or a segmentation checkpoint.")
    ] = "border-colour",
    keep_aspect: Annotated[
        bool,
        typer.Option("--keep-aspect/--stretch", help="Extend the product's box to a square, or stretch it to one."),
    ] = True,
    size: Annotated[int, typer.Option(min=16, max=2048, help="Side of the locked portion in pixels.")] = 224,
    other: Annotated[Path | None, typer.Option(help="Another product's photo, for the camouflage task.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pretext tasks' random choices.")] = 0,
    text: Annotated[str | None, typer.Option(help="The product's text: draw the patches of each word instead.")] = None,
    align: Annotated[Path | None, typer.Option(help="With --text: the folder that kaleidobert align wrote.")] = None,
    source: Annotated[
        Source, typer.Option(help="With --text: align a generated caption, or the text.")
    ] = Source.teacher,
) -> None:
    """Draw a photo's mask, its locked box, the grids of patches, and each pretext task's corruption of them.

    With --text and --align, draw the patches that each word is aligned to, on the locked portion.

    Example: kaleidobert patches shoe.jpg --out grid.png --levels 1,2,3,4,5 --other shirt.jpg

    Example: kaleidobert patches shoe.jpg --out words.png --text "white lace-up sneaker" --align runs/align
    """
    import numpy as np

    from kaleidobert.data.images import open_photo
    from kaleidobert.errors import InputError
    from kaleidobert.levels import patch_count
    from kaleidobert.model.pretext_objectives import illustrate
    from kaleidobert.vision.drawing import Locked, draw_patches
    from kaleidobert.vision.saliency.detectors import detector

    if (text is None) != (align is None):
        raise InputError("--text and --align go together: give the words and the folder that kaleidobert align wrote")
    if text is not None and align is not None:
        _draw_words(image, text, align, source.value, out)
        return
    foreground = detector(saliency)
    table = _level_table(levels)
    check_picture(out)
    product = Locked.of(open_photo(image), foreground)
    donor = Locked.of(open_photo(other), foreground) if other else None
    if not product.found:
        typer.echo(f"{image}: no product stands out from the background; the whole photo is used")
    save_picture(draw_patches(product, table, size, keep_aspect, np.random.default_rng(seed), illustrate, donor), out)
    typer.echo(f"{patch_count(table)} patches drawn in {out}")


def _draw_words(image: Path, text: str, align: Path, source: str, out: Path) -> None:
    """Draw the patches of each word, with the levels, threshold and photo settings of the alignment folder."""
    from kaleidobert.alignment.drawing import draw_words
    from kaleidobert.alignment.matching import content_words
    from kaleidobert.data.images import open_photo
    from kaleidobert.errors import InputError
    from kaleidobert.model import KaleidoBertImageProcessor
    from kaleidobert.training.align import load_generator
    from kaleidobert.vision.drawing import Locked
    from kaleidobert.vision.saliency.detectors import detector

    check_picture(out)
    words = content_words(text)
    if not words:
        raise InputError(
            f"--text {text!r}: no word that a photo could show; give a text such as 'white lace-up sneaker'"
        )
    generator = load_generator(align, source)
    processor = KaleidoBertImageProcessor.from_pretrained(align)
    product = Locked.of(open_photo(image), detector(processor.saliency))
    pixels = product.pixels(processor.image_size, processor.keep_aspect)
    (maps,) = generator.word_maps(pixels.unsqueeze(0), [text])
    pairs = generator.pairs(maps)
    save_picture(draw_words(product, pixels, maps, pairs), out)
    typer.echo(f"{len({pair.word for pair in pairs})} of {len(words)} words have patches; drawn in {out}")


def _level_table(text: str) -> list[Level]:
    """``1,2,3`` -> levels, with the published task and number of masked patches for published grids."""
    from kaleidobert.errors import InputError
    from kaleidobert.levels import PUBLISHED, Level

    published = {level.grid: level for level in PUBLISHED}
    grids = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= grid <= LARGEST_GRID for grid in grids) or len(set(grids)) < len(grids):
        wanted = f"different whole numbers from 1 to {LARGEST_GRID}, for example 1,2,3,4,5"
        raise InputError(f"--levels {text}: give {wanted}")
    return [published.get(grid, Level(grid)) for grid in grids]
