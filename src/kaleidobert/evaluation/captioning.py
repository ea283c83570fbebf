"""Captioning: generated captions of a fine-tuned run, compared with the products' texts (patent: FC)."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.measured_split import prepare_measured
from kaleidobert.evaluation.metrics.captioning import captioning_metrics, check_dependencies
from kaleidobert.evaluation.protocols import choose_queries
from kaleidobert.files import write_whole
from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.describing import generate_captions
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.progress import progress_bar
from kaleidobert.training.downstream import CaptioningCollator, products_with_text

BATCH = 64


def evaluate_captioning(
    data: str | Path,
    run: Path,
    split: str | None = None,
    reading: Reading = BY_DEFAULT,
    products: int | None = None,
    seed: int = 0,
    beams: int = 3,
) -> dict:
    """Evaluate a run on one split: each metric in percent (None: not computed), SumCAP and SumCAP_of.

    Captions are generated from each product's first photo; the reference is its whole text. ``split``: see
    `measured_split`. ``products``: how many products of the split, drawn with ``seed``; all by default. Metrics and
    captions are also written into the run's ``evaluation/``. Raises ``InputError`` for a run of another task, and where
    the metrics' tools are missing.
    """
    check_dependencies()  # before minutes of generation
    model, processor = load_model(run, KaleidoBertForCaptioning), load_processor(run)
    if model.config.task != "captioning":
        raise InputError(f"{run} was not fine-tuned for captioning; choose a run of kaleidobert finetune captioning")
    dataset, split = prepare_measured(data, split, run, processor.image_processor, reading)
    with_text = products_with_text(dataset, split)
    chosen = [with_text[index] for index in choose_queries(len(with_text), products, seed)]
    collator = CaptioningCollator(dataset, processor.tokenizer, seed=0, augmented=False)
    captions: list[str] = []
    with torch.autocast(model.device.type, torch.bfloat16), progress_bar() as progress:
        for start in progress.track(range(0, len(chosen), BATCH), description="captioning"):
            pixels = collator(chosen[start : start + BATCH])["pixel_values"].to(model.device)
            captions += generate_captions(model, processor, pixels, beams)
    references = [dataset.texts[index] for index in chosen]
    figures: dict = {
        "task": "captioning",
        "split": split,
        "products": len(chosen),
        "beams": beams,
        "data": Path(data).name,
        "products_without_text": len(dataset) - len(with_text),
        **captioning_metrics(references, captions),
    }
    folder, name = run / "evaluation", f"{split}-{len(chosen)}-beams{beams}.json"
    folder.mkdir(exist_ok=True)
    rows = [
        {"id": dataset.ids[index], "caption": caption, "text": text}
        for index, caption, text in zip(chosen, captions, references, strict=True)
    ]
    write_whole(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", folder / f"captions-{name}")
    write_whole(json.dumps(figures, indent=2) + "\n", folder / f"captioning-{name}")
    return figures
