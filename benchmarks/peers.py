"""Other architectures, trained from scratch on the same data with the same budget and measured by the same protocol.

python benchmarks/peers.py DATA --minutes 10 --out runs/peers [--only clip] [--ours figures.json]

Three models of `transformers` classes in a preset's sizes: ``clip``, a dual encoder of the preset's ResNet and BERT;
``vilt``, one stream over words and linear patches; ``visualbert``, one stream over words and one grid of the same
ResNet's features. All use the preset's optimiser, schedule and augmentation. The dual encoder is trained
contrastively, the single streams by image-text matching alone (no masked words), with a positive pair, a wrong text
and a wrong photo per product; negatives are random until pair accuracy passes 0.7, then of the same sub-category, as
in pre-training. The budget is ``--minutes`` per model, or ``--products`` seen. Candidates are those of `kaleidobert
evaluate retrieval` with the same seed; ``--ours`` adds that command's JSON to the table.

Each model writes OUT/<name>.json, and the table shows every model found in OUT. ``--overfit N`` trains and measures on
the same N products: a correctly wired model reaches 100 %.
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
from transformers import set_seed

from common import write_json
from kaleidobert.evaluation.metrics.retrieval import partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.evaluation.protocols import candidate_table, choose_queries
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.ranking import DIRECTIONS
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.runs import training_arguments
from kaleidobert.training.sampling import Draw, GroupedSampler
from kaleidobert.training.settings import load_settings
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.trainer import KaleidoBertTrainer
from peer_models import PEERS

PAIRS = 512  # pairs per batch in evaluation


class PeerCollator(PairCollator):
    """Pairs, and each product's sub-category (B,) as an integer."""

    def __init__(self, dataset: PreparedDataset, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(dataset, *arguments, **kwargs)
        self.numbers = np.unique(dataset.subcategories, return_inverse=True)[1].astype(np.int64)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        numbers = self.numbers[[draw.product for draw in draws]]
        return super().collate(draws) | {"subcategory": torch.from_numpy(numbers)}


@torch.inference_mode()
def measure(model: Any, collator: PairCollator, table: np.ndarray) -> dict:
    """Figures of both directions over candidates (Q, C), the true partner first, with 95 % intervals."""
    model.eval()
    device, dataset = next(model.parameters()).device, collator.dataset
    tokens = collator.tokenizer(dataset.texts, padding=True, truncation=True, return_tensors="pt")
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    missing = torch.from_numpy(table < 0)
    own, other = torch.from_numpy(table[:, :1]).expand(table.shape), torch.from_numpy(table).clamp(min=0)
    ranks = []
    with torch.autocast(device.type, torch.bfloat16), progress_bar() as progress:
        rows = range(0, len(dataset), 128)
        batches = (collator(range(row, min(row + 128, len(dataset))))["pixel_values"] for row in rows)
        photos = torch.cat([model.photos(pixels.to(device)) for pixels in batches])
        for text, photo in ((own, other), (other, own)):
            scores = []
            pairs = list(zip(text.flatten().split(PAIRS), photo.flatten().split(PAIRS), strict=True))
            for texts, images in progress.track(pairs, description="ranking"):
                longest = int(mask[texts].sum(dim=1).max())
                words = ids[texts, :longest].to(device), mask[texts, :longest].to(device)
                scores.append(model.pair_scores(*words, photos[images.to(device)]).float().cpu())
            found = torch.cat(scores).view(table.shape).masked_fill(missing, float("-inf"))
            ranks.append(partner_ranks(found.numpy()))
    figures = retrieval_figures(*ranks)
    return figures | {"intervals": {name: recall_intervals(figures[name], len(table)) for name in DIRECTIONS}}


def train_and_measure(name: str, arguments: argparse.Namespace) -> dict:
    """Train one model from scratch; its figures, and what they cost."""
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
    training.joint_samples = training.batch_size  # ITM is the only objective of a single stream
    if arguments.products:
        training.epochs = arguments.products / len(train)
    torch.manual_seed(arguments.seed)
    model = PEERS[name](config, arguments.patch, settings.objectives.hard_negatives_from)
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
    for column in (*(f"{name} R@{k}" for name in DIRECTIONS for k in (1, 5, 10)), "SumR"):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        values = [*(row[direction][f"R@{k}"] for direction in DIRECTIONS for k in (1, 5, 10)), row["SumR"]]
        sizes = [f"{row[key]:,}" if key in row else "" for key in ("products_seen", "parameters")]
        table.add_row(name, *sizes, *(f"{value:.1f}" for value in values))
    Console(width=140).print(table)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="of training per model; the schedule follows the clock")
    budget.add_argument("--products", type=int, help="samples seen by each model, with repetition")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=PEERS, action="append", help="train this model only; may be repeated")
    parser.add_argument("--preset", default="scratch")
    parser.add_argument("--set", action="append", default=[], help="a setting of the preset, as in pretrain")
    parser.add_argument(
        "--init-std", type=float, default=0.06, help="of initial encoder weights; BERT's 0.02 suits 768 units"
    )
    parser.add_argument(
        "--patch", type=int, default=16, help="side of ViLT's patches in pixels; 16 gives 25 patches in scratch"
    )
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="draws queries and candidates, as in kaleidobert evaluate")
    parser.add_argument("--overfit", type=int, help="train and measure on this many products")
    parser.add_argument("--ours", type=Path, help="JSON of kaleidobert evaluate retrieval, to add to the table")
    arguments = parser.parse_args(given)

    for name in arguments.only or PEERS:
        figures = train_and_measure(name, arguments)
        write_json(figures, arguments.out / f"{name}.json")
    found = [name for name in PEERS if (arguments.out / f"{name}.json").exists()]
    rows = {name: json.loads((arguments.out / f"{name}.json").read_text()) for name in found}
    if arguments.ours:
        ours = json.loads(arguments.ours.read_text())
        rows |= {f"kaleidobert, {name}": row for name, row in ours.items() if isinstance(row, dict) and "SumR" in row}
    show(rows)


if __name__ == "__main__":
    main()
