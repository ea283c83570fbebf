"""How much faster a pre-training step is when a frozen backbone's features are read instead of computed.

python benchmarks/features.py --side 64 --layers 4 --batch 8 --steps 5

A ResNet-50 without training encodes drawn photos of so many pixels, 55 crops each, beside an encoder of so many
layers; the rest is the preset base. Says the seconds of a step (batch, forward, backward) both ways, and the bytes
that a view takes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoBackbone

from kaleidobert.model import KaleidoBertConfig, KaleidoBertForPreTraining, KaleidoBertImageProcessor
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.synthetic import write_catalogue
from kaleidobert.training.cached_features import build_features, open_features
from kaleidobert.training.collators import PreTrainingCollator
from kaleidobert.training.dataset import prepare
from kaleidobert.training.settings import load_settings


def step_seconds(model: KaleidoBertForPreTraining, collate: PreTrainingCollator, batch: int, steps: int) -> float:
    """The median step's; a first one is not counted."""
    seconds = []
    for step in range(steps + 1):
        started = time.perf_counter()
        inputs = {name: value.to(model.device) for name, value in collate(range(step, step + batch)).items()}
        model(**inputs).loss.backward()
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[steps // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("side", 64), ("layers", 4), ("batch", 8), ("steps", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["KALEIDOBERT_CACHE"] = str(folder / "cache")
        write_catalogue(folder / "catalogue", int(1.5 * (arguments.batch + arguments.steps)) + 6, seed=0)
        sides = [f"model.image_size={arguments.side}", f"model.crop_size={arguments.side}"]
        overrides = [*sides, f"model.encoder_config.num_hidden_layers={arguments.layers}"]
        settings = load_settings("base", [*overrides, f"initial.backbone={folder / 'backbone'}"])
        config = KaleidoBertConfig(**settings.model)
        AutoBackbone.from_config(config.backbone_config).save_pretrained(folder / "backbone")
        build_features(folder / "catalogue", folder / "features", settings)

        train = prepare(folder / "catalogue", "train", KaleidoBertImageProcessor(arguments.side))
        tokenizer = train_tokenizer(train.texts, max_length=settings.tokenizer.max_length)
        config.encoder_config.vocab_size = len(tokenizer)
        model = KaleidoBertForPreTraining(config)
        model.kaleidobert.load_backbone(str(folder / "backbone"))
        model.to("cuda" if torch.cuda.is_available() else "cpu").train()
        stored = open_features(folder / "features", "train", train, model.kaleidobert)
        collate = (train, tokenizer, config.level_table, 0, True, arguments.batch)
        computed, read = (
            step_seconds(
                model, PreTrainingCollator(*collate, strength=0, features=source), arguments.batch, arguments.steps
            )
            for source in (None, stored)
        )
        size = stored.array[0].nbytes / 1e3
        print(f"computed {computed:.2f} s a step, read {read:.2f} s: {computed / read:.1f} times; {size:.0f} kB a view")


if __name__ == "__main__":
    main()
