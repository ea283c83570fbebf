"""Every step on a synthetic catalogue: draw it, pre-train, fine-tune, evaluate, index and search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_ranker import fit_ranker
from kaleidobert.evaluation.retrieval import evaluate_retrieval
from kaleidobert.files import read_json, write_whole
from kaleidobert.index.indexer import index_catalogue
from kaleidobert.levels import PUBLISHED
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.pretext_objectives import illustrate
from kaleidobert.model.unfinished import is_unfinished
from kaleidobert.scoring.ranking import RANKING_FILE
from kaleidobert.search.contact_sheet import result_sheets
from kaleidobert.search.ranker import Ranker
from kaleidobert.synthetic import contact_sheet, write_catalogue
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.settings import load_settings
from kaleidobert.vision.drawing import Locked, draw_patches
from kaleidobert.vision.saliency.detectors import detector

QUERIES = (  # each fits three products or more of the catalogue with seed 0
    "floral skirt",
    "red sneakers",
    "purple dress",
    "grey handbag",
    "brown boots",
    "green puffer jacket with a hood",
)
MIN_PRODUCTS = 400  # fewer do not fill a training batch, or are too few to rank


def demo(out: Path, products: int, minutes: float) -> tuple[str, dict]:
    """Run every step in the folder ``out``; returns the path of the product store and the retrieval figures.

    ``minutes``: of pre-training; fine-tuning takes a third of that. Steps whose results are in ``out`` are skipped.
    """
    if products < MIN_PRODUCTS:
        raise InputError(f"--products {products}: the demo needs {MIN_PRODUCTS} or more")
    console = Console()
    data, pretrained, run, store = out / "catalogue", out / "pretrained", out / "run", str(out / "store")
    figures_file = out / "retrieval.json"
    out.mkdir(parents=True, exist_ok=True)
    with _step(console, "1/6 synthetic catalogue", data / "test.parquet") as wanted:
        if wanted:
            write_catalogue(data, products, seed=0)
            contact_sheet(islice(read_products(data, "test"), 50), columns=10).save(out / "catalogue.png")
    with _step(console, "2/6 kaleidoscope patches", out / "patches.png") as wanted:
        if wanted:
            draw_example(data).save(out / "patches.png")
    overrides = ["training.batch_size=128", "training.joint_samples=32", "training.evaluate_every=50"]
    with _step(console, "3/6 pre-training", pretrained / "model.safetensors") as wanted:
        if wanted:
            settings, resume = load_settings("mini", overrides), is_unfinished(pretrained)
            pretrain(data, pretrained, settings, max_minutes=minutes, resume=resume)
    with _step(console, "4/6 fine-tuning for retrieval", run / RANKING_FILE) as wanted:
        if wanted:
            settings = finetune_settings("retrieval", pretrained)
            finetune(
                "retrieval",
                data,
                pretrained,
                run,
                settings,
                max_minutes=minutes / 3,
                resume=is_unfinished(run),
                finish=lambda folder: {"ranking": fit_ranker(data, folder, finishing=True)},
            )
    with _step(console, "5/6 retrieval on held-out products", figures_file) as wanted:
        if wanted:
            figures = evaluate_retrieval(data, run, queries=100, rerank=20)
            write_whole(json.dumps(figures, indent=2) + "\n", figures_file)
    with _step(console, "6/6 indexing and six searches", out / "results.png") as wanted:
        if wanted:
            index_catalogue(str(data), run, store)  # all products, as a shop does; the figures are of new ones
            draw_results(store).save(out / "results.png")
    return store, read_json(figures_file, "delete it, and run the demo again")


@contextmanager
def _step(console: Console, title: str, done: Path) -> Iterator[bool]:
    """Print a step's title; yields whether it still has to run: ``done`` is missing, or of an unfinished run."""
    wanted = not done.exists() or is_unfinished(done.parent)
    console.print(f"[bold]{title}[/bold]" + ("" if wanted else f" (skipped, {done} exists)"))
    yield wanted


def draw_example(data: Path) -> Image.Image:
    """The patch generator and the five pretext tasks on the catalogue's first test products."""
    found = detector(KaleidoBertConfig(**load_settings("mini").model).saliency)
    product, other = (Locked.of(each.open(), found) for each in islice(read_products(data, "test"), 2))
    return draw_patches(product, PUBLISHED, 224, True, np.random.default_rng(0), illustrate, other)


def draw_results(store: str) -> Image.Image:
    """A contact sheet of the demo's queries, each with a row of its best results."""
    ranker = Ranker.open(store)
    return result_sheets([(query, ranker.search(query, top=8)) for query in QUERIES])
