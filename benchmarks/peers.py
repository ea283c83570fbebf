"""Other architectures from scratch on the same data, with the same budget, by the same protocol.

python benchmarks/peers.py DATA --minutes 10 --out runs/peers [--only clip] [--ours figures.json]

Three peers, of `transformers` classes and of a preset's sizes: ``clip``, a dual encoder (the preset's ResNet and BERT,
two vectors); ``vilt``, one stream over words and linear patches; ``visualbert``, one stream over words and one fixed
grid of the same ResNet's features. All are trained by the preset's trainer, optimiser, schedule and augmentation. The
dual encoder learns by contrast, the single streams by matching alone (no masked words): each product with its own text,
with a wrong text and with a wrong photo; wrong ones are drawn at random until pair accuracy passes 0.7, then from the
same sub-category, as in pre-training here. Budget: ``--minutes`` each, or ``--products`` seen. Candidates are those of
`kaleidobert evaluate retrieval` with the same seed, whose figures ``--ours`` (its JSON) puts beside.

Each model writes OUT/<name>.json; with ``--only`` models can be trained side by side, and the table shows all that are
there. ``--overfit N`` trains and measures on the same N products: a model that works reaches 100.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import (
    set_seed,
)

from kaleidobert.evaluation.metrics.retrieval import partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.evaluation.protocols import candidate_table, choose_queries
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.progress import progress_bar
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.runs import training_arguments
from kaleidobert.training.sampling import GroupedSampler
from kaleidobert.training.settings import load_settings
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.trainer import KaleidoBertTrainer
from peer_models import PEERS

PAIRS = 512  # a pass of a single stream in evaluation


class PeerCollator(PairCollator):
    """Pairs, and each product's sub-category (B,) as a number."""

    def __init__(self, catalogue: PreparedDataset, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(catalogue, *arguments, **kwargs)
        self.numbers = np.unique(catalogue.subcategories, return_inverse=True)[1].astype(np.int64)

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        return super().__call__(indices) | {"subcategory": torch.from_numpy(self.numbers[np.asarray(indices)])}


@torch.inference_mode()
def measure(model: Any, collator: PairCollator, table: np.ndarray) -> dict:
    """Both directions' figures over candidates (Q, C), the partner first, with the intervals of 95 %."""
    model.eval()
    device, catalogue = next(model.parameters()).device, collator.catalogue
    tokens = collator.tokenizer(catalogue.texts, padding=True, truncation=True, return_tensors="pt")
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    missing = torch.from_numpy(table < 0)
    own, other = torch.from_numpy(table[:, :1]).expand(table.shape), torch.from_numpy(table).clamp(min=0)
    ranks = []
    with torch.autocast(device.type, torch.bfloat16), progress_bar() as progress:
        rows = range(0, len(catalogue), 128)
        batches = (collator(range(row, min(row + 128, len(catalogue))))["pixel_values"] for row in rows)
        photos = torch.cat([model.photos(pixels.to(device)) for pixels in batches])
        for text, photo in ((own, other), (other, own)):
            scores = []
            pairs = list(zip(text.flatten().split(PAIRS), photo.flatten().split(PAIRS), strict=True))
            for texts, images in progress.track(pairs, description="ranking"):
                longest = int(mask[texts].sum(dim=1).max())
                words = ids[texts, :longest].to(device), mask[texts, :longest].to(device)
                scores.append(model.pair_scores(*words, photos[images.to(device)]).float().cpu())
            way = torch.cat(scores).view(table.shape).masked_fill(missing, float("-inf"))
            ranks.append(partner_ranks(way.numpy()))
    figures = retrieval_figures(*ranks)
    return figures | {"intervals": {way: recall_intervals(figures[way], len(table)) for way in ("TIR", "ITR")}}


def train_and_measure(name: str, arguments: argparse.Namespace) -> dict:
    """One peer from scratch; its figures, and what it took."""
    standard = [f"model.encoder_config.initializer_range={arguments.init_std}"]
    settings = load_settings(arguments.preset, [*standard, *arguments.set])
    set_seed(arguments.seed)
    config = KaleidoBertConfig(**settings.model)
    if not torch.cuda.is_available():
        config.encoder_config._attn_implementation = "eager"  # as in the model here
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    train = prepare(arguments.data, "train", image_processor)
    chosen = settings.tokenizer
    tokenizer = train_tokenizer(train.texts, chosen.kind, chosen.vocabulary, chosen.max_length)
    config.encoder_config.vocab_size = len(tokenizer)
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    if arguments.overfit:
        train = validation = measured = train.head(arguments.overfit)
    else:
        validation, measured = (prepare(arguments.data, split, image_processor) for split in ("validation", "test"))
    training = settings.training
    training.joint_samples = training.batch_size  # a single stream has no other way to learn
    if arguments.products:
        training.epochs = arguments.products / len(train)
    torch.manual_seed(arguments.seed)
    model = PEERS[name](config, arguments.patch)
    trainer = peer_trainer(model, name, tokenizer, train, validation, settings.training, arguments)
    trainer.train()
    asked = choose_queries(len(measured), arguments.queries, arguments.seed)
    table = candidate_table(measured, asked, "101", arguments.seed)
    figures: dict = {"peer": name, "protocol": "101", "queries": len(asked), "seed": arguments.seed}
    figures["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    figures["products_seen"] = trainer.state.global_step * training.batch_size
    figures["minutes"] = round(trainer.budget.seconds() / 60, 2)
    figures["history"] = trainer.state.log_history
    return figures | measure(model, PairCollator(measured, tokenizer, seed=0, augmented=False), table)


def peer_trainer(
    model: nn.Module,
    name: str,
    tokenizer: Any,
    train: PreparedDataset,
    validation: PreparedDataset,
    training: Any,
    arguments: argparse.Namespace,
) -> KaleidoBertTrainer:
    common = {"seed": training.seed, "joint_samples": training.batch_size, "strength": training.augmentation}
    return KaleidoBertTrainer(
        model=model,
        args=replace(training_arguments(arguments.out / name, training, len(train)), save_strategy="no"),
        train_dataset=train,
        eval_dataset=validation.head(training.evaluation_products),
        data_collator=PeerCollator(train, tokenizer, augmented=not arguments.overfit, **common),
        evaluation_collator=PeerCollator(validation, tokenizer, augmented=False, **common),
        sampler=GroupedSampler(train.subcategories, training.subcategory_group, training.seed),
        budget=TimeBudget(arguments.minutes),
        title=name,
        logs=arguments.out / name / "logs",
    )


def show(rows: dict[str, dict]) -> None:
    table = Table("model", "products seen", "parameters", title="101 candidates, in percent")
    for column in (*(f"{way} R@{k}" for way in ("TIR", "ITR") for k in (1, 5, 10)), "SumR"):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        values = [*(row[way][f"R@{k}"] for way in ("TIR", "ITR") for k in (1, 5, 10)), row["SumR"]]
        sizes = [f"{row[key]:,}" if key in row else "" for key in ("products_seen", "parameters")]
        table.add_row(name, *sizes, *(f"{value:.1f}" for value in values))
    Console(width=140).print(table)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="of training, each model; the schedule follows the clock")
    budget.add_argument("--products", type=int, help="seen by each model, with repetition")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=PEERS, action="append", help="these models alone")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--set", action="append", default=[], help="a setting of the preset, as in pretrain")
    parser.add_argument("--init-std", type=float, default=0.06, help="of encoder weights; BERT's 0.02 is for 768 units")
    parser.add_argument("--patch", type=int, default=16, help="side of ViLT's patches in pixels: 25 of mini's photos")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="as of `kaleidobert evaluate`, whose candidates these are")
    parser.add_argument("--overfit", type=int, help="train and measure on so many products")
    parser.add_argument("--ours", type=Path, help="JSON of `kaleidobert evaluate retrieval`, to stand in the table")
    arguments = parser.parse_args(given)

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or PEERS:
        figures = train_and_measure(name, arguments)
        (arguments.out / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    found = [name for name in PEERS if (arguments.out / f"{name}.json").exists()]
    rows = {name: json.loads((arguments.out / f"{name}.json").read_text()) for name in found}
    if arguments.ours:
        ours = json.loads(arguments.ours.read_text())
        rows |= {f"kaleidobert, {name}": ours[name] for name in ("cosine", "vectors", "joint", "combined")}
    show(rows)


if __name__ == "__main__":
    main()
