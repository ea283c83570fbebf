"""Arguments, input and output that the scripts of this folder share."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset, prepare

# A preset of a few thousand weights, for what does not depend on the size of a model.
TINY = """
model:
  encoder_config: {hidden_size: 32, num_hidden_layers: 3, num_attention_heads: 2, intermediate_size: 64}
  backbone_config: {layer_type: basic, embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 1], out_features: [stage2]}
  image_size: 64
  crop_size: 16
  projection_size: 24
tokenizer: {vocabulary: 300, max_length: 32}
training: {batch_size: 16, joint_samples: 8, joint_from: 0, epochs: 2, warmup_steps: 2, bf16: false, evaluate_every: 5}
"""


def catalogue_parser(description: str | None, data: str = "the catalogue: a file or a folder") -> ArgumentParser:
    """A parser for a script that reads one split of a catalogue; its description is the script's docstring."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("data", help=data)
    parser.add_argument("--split", default="test")
    return parser


def add_run(parser: ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="the run folder")


def add_queries(parser: ArgumentParser, queries: int = 1000) -> None:
    """The candidates are those of `kaleidobert evaluate retrieval` with the same number of queries and seed."""
    parser.add_argument("--queries", type=int, default=queries)
    parser.add_argument("--seed", type=int, default=0, help="draws queries and candidates, as in kaleidobert evaluate")


def open_run(run: Path, data: str, split: str) -> tuple[KaleidoBertScorer, PreparedDataset]:
    """A run as evaluation and search score with it, and the split prepared for it."""
    scorer = KaleidoBertScorer.from_pretrained(run)
    return scorer, prepare(data, split, scorer.processor.image_processor)


def times_chance(hit: float, chance: float) -> float | None:
    """How many times as often as by chance; None where chance is 0, as for a region that no patch shows."""
    return hit / chance if chance else None


def figure_text(value: float | None, digits: int = 1) -> str:
    """A figure in a table; a dash for one that does not exist."""
    return "–" if value is None else f"{value:.{digits}f}"


def write_json(figures: Any, path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")
