"""`kaleidobert patches`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from PIL import Image

    from kaleidobert.levels import Level

LARGEST_GRID = 16


def patches(
    image: Annotated[Path, typer.Argument(help="The photo.")],
    out: Annotated[Path, typer.Option(help="The picture to write, for example grid.png.")],
    levels: Annotated[str, typer.Option(help="The grids, N for N x N.")] = "1,2,3,4,5",
    saliency: Annotated[
        str, typer.Option(help="border-colour, network, none, weights of your own, or a segmentation checkpoint.")
    ] = "border-colour",
    keep_aspect: Annotated[
        bool, typer.Option("--keep-aspect/--stretch", help="Widen the box to a square, or stretch it to one.")
    ] = True,
    size: Annotated[int, typer.Option(min=16, max=2048, help="The locked portion's side in pixels.")] = 224,
    other: Annotated[Path | None, typer.Option(help="Another product's photo, to camouflage with.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the rotation, the order and the patches.")] = 0,
) -> None:
    """Draw a photo's mask, its locked box, the grids, and what each pretext task makes of them.

    Example: kaleidobert patches shoe.jpg --out grid.png --levels 1,2,3,4,5 --other shirt.jpg
    """
    import numpy as np

    from kaleidobert.levels import patch_count
    from kaleidobert.vision.drawing import Locked, draw_patches
    from kaleidobert.vision.saliency import detector

    foreground = detector(saliency)
    table = _level_table(levels)
    _check_suffix(out)
    product = Locked.of(_open(image), foreground)
    donor = Locked.of(_open(other), foreground) if other else None
    if not product.found:
        typer.echo(f"{image}: no product stands out from the background; the whole photo is used")
    _save(draw_patches(product, table, size, keep_aspect, np.random.default_rng(seed), donor), out)
    typer.echo(f"{patch_count(table)} patches drawn in {out}")


def _level_table(text: str) -> list[Level]:
    """``1,2,3`` -> levels, with the published task and quota where a grid has one."""
    from kaleidobert.errors import InputError
    from kaleidobert.levels import PUBLISHED, Level

    published = {level.grid: level for level in PUBLISHED}
    grids = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= grid <= LARGEST_GRID for grid in grids) or len(set(grids)) < len(grids):
        wanted = f"different whole numbers from 1 to {LARGEST_GRID}, for example 1,2,3,4,5"
        raise InputError(f"--levels {text}: give {wanted}")
    return [published.get(grid, Level(grid)) for grid in grids]


def _open(path: Path) -> Image.Image:
    from PIL.Image import DecompressionBombError

    from kaleidobert.data.product import open_image
    from kaleidobert.errors import InputError

    if not path.is_file():
        raise InputError(f"{path}: no such file; give a photo, for example shoe.jpg")
    try:
        return open_image(path)
    except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image; give a JPEG, PNG or WebP file") from error


def _check_suffix(out: Path) -> None:
    from PIL import Image

    from kaleidobert.errors import InputError

    if Image.registered_extensions().get(out.suffix.lower()) not in Image.SAVE:
        raise InputError(f"{out}: no picture format has the ending {out.suffix!r}; write a .png or .jpg")


def _save(picture: Image.Image, out: Path) -> None:
    from kaleidobert.errors import InputError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        picture.save(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); give another place") from error
