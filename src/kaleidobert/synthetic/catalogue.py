"""The synthetic catalogue: products from a seed, written to parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kaleidobert.data.product import Product, Region
from kaleidobert.errors import InputError
from kaleidobert.progress import progress_bar
from kaleidobert.synthetic.fabric import COLOURS, CONTRASTS, MATERIALS, Colour, Fabric
from kaleidobert.synthetic.kinds import KINDS
from kaleidobert.synthetic.look import Kind, Look
from kaleidobert.synthetic.render import View, render
from kaleidobert.synthetic.wording import description_of, phrases_in, pick, terms_of, title_of

SPLITS = ("train", "validation", "test")
ROW_GROUP = 64  # products held in memory per split
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "title", "description", "category", "subcategory", "attributes")),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("masks", pa.list_(pa.binary())),
        ("regions", pa.string()),
    ]
)


def sample_look(rng: np.random.Generator) -> Look:
    """A random product type with random attributes."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    colour = pick(rng, kind.colours or tuple(COLOURS))
    pattern = pick(rng, kind.patterns)
    attributes = {"colour": colour, "pattern": pattern, "material": pick(rng, kind.materials)}
    for option, choices in kind.options.items():
        name, _, value = pick(rng, choices).rpartition(":")
        if value:
            attributes[name or option] = value
    if pattern != "solid":
        attributes.pop("logo", None)  # a logo is not recognisable on a pattern
    striking = "logo" in attributes or attributes.get("detail") == "side stripes"
    accented = bool(kind.accent) and (striking or rng.random() < kind.accent_share)
    if pattern != "solid" or accented:
        attributes["second_colour"] = pick(rng, CONTRASTS[colour])
    return _dressed(kind, attributes, rng)


def _dressed(kind: Kind, attributes: dict[str, str], rng: np.random.Generator) -> Look:
    """The look of these attributes, with fabrics in slightly varied shades."""
    main = _shade(attributes["colour"], rng)
    second = _shade(attributes.get("second_colour", attributes["colour"]), rng)
    material = MATERIALS[attributes["material"]]
    upright = kind.category in ("Bottoms", "Outerwear") or rng.random() < 0.2
    fabric = Fabric(main, material, second, attributes["pattern"], upright, rng.uniform(*kind.block))
    trim = second if "second_colour" in attributes else main
    if "second_colour" not in attributes and kind.trims:
        trim = COLOURS[pick(rng, kind.trims)]
    return Look(kind, attributes, fabric, Fabric(trim, material), rng.random(), int(rng.integers(1000)))


def _shade(name: str, rng: np.random.Generator) -> Colour:
    """The named colour with random brightness and a slight colour cast."""
    bright = rng.uniform(0.93, 1.05)
    r, g, b = (float(min(channel * bright * rng.uniform(0.985, 1.015), 0.97)) for channel in COLOURS[name])
    return r, g, b


def make_product(seed: int, index: int, size: tuple[int, int] = (192, 256)) -> Product:
    """Product ``index`` of a seed, independent of all others; ``size`` is the images' width and height in pixels."""
    rng = np.random.default_rng([seed, index])
    look = sample_look(rng)
    title, description = title_of(look, rng), description_of(look, rng)
    views = render(look, rng, size, views=1 + int(rng.choice(3, p=(0.35, 0.35, 0.30))))
    product = Product(
        id=f"syn-{seed}-{index:06d}",
        title=title,
        description=description,
        category=look.kind.category,
        subcategory=look.kind.subcategory,
        attributes=look.attributes,
        images=tuple(view.image for view in views),
        masks=tuple(view.mask for view in views),
    )
    phrases = phrases_in(product.text, terms_of(look))
    regions = tuple(_regions(view, phrases) for view in views)
    return replace(product, regions=regions)


def _regions(view: View, phrases: list[tuple[str, str]]) -> tuple[Region, ...]:
    return tuple(Region(word, view.boxes[part]) for word, part in phrases if part in view.boxes)


def generate(count: int, seed: int = 0, size: tuple[int, int] = (192, 256)) -> Iterator[Product]:
    """``count`` products with one to three views each, their masks and regions; ``size`` is width and height in pixels.

    A product depends on the seed and its index alone, byte for byte.
    """
    return (make_product(seed, index, size) for index in range(count))


def split_of(index: int) -> str:
    """The split of product ``index``: eight of every ten are for training, one each for validation and test."""
    return {8: "validation", 9: "test"}.get(index % 10, "train")


def row_of(product: Product) -> dict[str, object]:
    """A product as one row of ``SCHEMA``; attributes and regions are JSON."""
    regions = [[[region.word, *(round(edge, 4) for edge in region.box)] for region in view] for view in product.regions]
    return {
        "id": product.id,
        "title": product.title,
        "description": product.description,
        "category": product.category,
        "subcategory": product.subcategory,
        "attributes": json.dumps(dict(product.attributes)),
        "images": [{"bytes": image, "path": f"{product.id}-{view}.jpg"} for view, image in enumerate(product.images)],
        "masks": list(product.masks),
        "regions": json.dumps(regions),
    }


def write_catalogue(out: Path, products: int, seed: int) -> dict[str, int]:
    """Write a parquet file for each split into the folder ``out``; returns the number of products of each.

    Raises ``InputError`` if ``products`` or ``seed`` is out of range, or ``out`` cannot be written.
    """
    if products < 1:
        raise InputError(f"--products is {products}: give 1 or more")
    if seed < 0:
        raise InputError(f"--seed is {seed}: give 0 or more")
    try:
        out.mkdir(parents=True, exist_ok=True)
        writers = {split: pq.ParquetWriter(out / f"{split}.parquet", SCHEMA) for split in SPLITS}
    except OSError as error:
        raise InputError(f"{out}: cannot write there ({error.strerror}); give another folder") from error
    counts = dict.fromkeys(SPLITS, 0)
    pending: dict[str, list[dict[str, object]]] = {split: [] for split in SPLITS}
    try:
        for index, product in enumerate(_tracked(_drawn_in_parallel(products, seed), products)):
            split = split_of(index)
            pending[split].append(row_of(product))
            counts[split] += 1
            if len(pending[split]) == ROW_GROUP:
                writers[split].write_table(pa.Table.from_pylist(pending[split], SCHEMA))
                pending[split].clear()
        for split, rows in pending.items():
            writers[split].write_table(pa.Table.from_pylist(rows, SCHEMA))
    finally:
        for writer in writers.values():
            writer.close()
    return counts


def _drawn_in_parallel(count: int, seed: int) -> Iterator[Product]:
    """The products of `generate`, drawn in one process for each core.

    Processes are spawned, as forking is not safe once the product store is loaded.
    """
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(make_product, seed), range(count), chunksize=8)


def _tracked(products: Iterator[Product], total: int) -> Iterator[Product]:
    """The products, with a progress bar."""
    with progress_bar() as progress:
        yield from progress.track(products, total, description="drawing products")
