"""How hard each objective pulls at each part of a run's model: norms of its weighted gradient, means over batches.

python benchmarks/gradients.py DATA --model runs/mini [--checkpoint 800] [--batches 8] [--json figures.json]

Batches are the run's own, of the training split, made by its settings. What a small share of the batch asks of the
backbone is noisy; where its gradient is longer than that of the contrastive objective, noise is what the backbone
follows, and its weight (`model.loss_weights`) should be less.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.losses import loss_weight
from kaleidobert.progress import progress_bar
from kaleidobert.training.collators import PreTrainingCollator
from kaleidobert.training.dataset import prepare
from kaleidobert.training.settings import RUN_SETTINGS, load_settings


def norms(model: KaleidoBertForPreTraining, batch: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """Of each objective, the length of its weighted gradient by part of the model."""
    encoder, lower = model.kaleidobert, model.config.fusion_layer
    layers = encoder.bert.encoder.layer
    parts: dict[str, Iterable[nn.Parameter]] = {
        "backbone": encoder.patch_encoder.parameters(),
        "words": encoder.bert.embeddings.parameters(),
        "lower layers": layers[:lower].parameters(),
        "joint layers": layers[lower:].parameters(),
        "all": model.parameters(),
    }
    weights = {name: [each for each in part if each.requires_grad] for name, part in parts.items()}
    with torch.autocast(model.device.type, torch.bfloat16):
        losses = model(**{name: value.to(model.device) for name, value in batch.items()}).parts
    found = {}
    for name, loss in losses.items():
        model.zero_grad()
        (loss_weight(model.config.loss_weights, name) * loss).backward(retain_graph=True)
        squares = {
            part: [each.grad.square().sum() for each in own if each.grad is not None] for part, own in weights.items()
        }
        found[name] = {part: sum(each, torch.zeros(())).sqrt().item() for part, each in squares.items()}
    return found


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", type=Path, required=True, help="a pre-training run")
    parser.add_argument("--checkpoint", type=int, help="the step of one of its checkpoints; else its last weights")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)

    run = arguments.model
    folder = run / "checkpoints" / f"checkpoint-{arguments.checkpoint}" if arguments.checkpoint else run
    model, processor = load_model(folder, KaleidoBertForPreTraining).train(), load_processor(run)
    training = load_settings(str(run / RUN_SETTINGS)).training
    collator = PreTrainingCollator(
        prepare(arguments.data, "train", processor.image_processor),
        processor.tokenizer,
        model.config.level_table,
        seed=training.seed,
        augmented=True,
        joint_samples=training.joint_samples,
        corruption=model.config.corruption,
        strength=training.augmentation,
        patch_dropout=training.patch_dropout,
        word_dropout=training.word_dropout,
    )
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    size = training.batch_size
    with progress_bar() as progress:
        for number in progress.track(range(arguments.batches), description="measuring"):
            for name, parts in norms(model, collator(range(number * size, (number + 1) * size))).items():
                for part, value in parts.items():
                    figures[name][part].append(value)
    means = {name: {part: sum(each) / len(each) for part, each in parts.items()} for name, parts in figures.items()}
    if arguments.json:
        arguments.json.write_text(json.dumps(means, indent=2) + "\n")
    table = Table("objective", *means["contrastive"], title="length of the weighted gradient")
    for name, values in means.items():
        table.add_row(name, *(f"{value:.2f}" for value in values.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
