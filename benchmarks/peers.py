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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BertModel,
    ResNetModel,
    ViltConfig,
    ViltModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    VisualBertConfig,
    VisualBertModel,
    set_seed,
)
from transformers.modeling_outputs import ModelOutput

from kaleidobert.levels import Level
from kaleidobert.metrics.retrieval import partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.losses import (
    RANDOM,
    SAME_SUBCATEGORY,
    contrastive_loss,
    draw_negatives,
    equal_texts,
    matching_loss,
)
from kaleidobert.model.processing import train_tokenizer
from kaleidobert.progress import progress_bar
from kaleidobert.training.candidates import candidate_table, choose_queries
from kaleidobert.training.catalogue import Catalogue, prepare
from kaleidobert.training.collator import PairCollator
from kaleidobert.training.pace import Pace
from kaleidobert.training.runs import training_arguments
from kaleidobert.training.settings import load_settings
from kaleidobert.training.trainer import GroupedSampler, KaleidoBertTrainer
from kaleidobert.vision.backbone import PatchEncoder

PAIRS = 512  # a pass of a single stream in evaluation
GRID = 5  # of VisualBERT, the finest of the preset's levels


@dataclass
class PeerOutput(ModelOutput):
    """What `KaleidoBertTrainer` trains by and logs."""

    loss: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class PooledResNet(ResNetModel):
    """A ResNet whose pooled output is (B, D), as a dual encoder expects, and not (B, D, 1, 1)."""

    def forward(self, pixel_values: Tensor, **_: Any) -> Any:
        output = super().forward(pixel_values)
        output.pooler_output = output.pooler_output.flatten(1)
        return output


class Normalised(nn.Module):
    """Photos (B, 3, S, S) in [0, 1] by the preset's mean and deviation."""

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(config.image_mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config.image_std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std


class Clip(nn.Module):
    """The dual encoder: a vector each, their cosine."""

    def __init__(self, config: KaleidoBertConfig, patch: int) -> None:  # noqa: ARG002
        super().__init__()
        text, vision = config.encoder_config, config.backbone_config
        vision.hidden_size = vision.hidden_sizes[-1]
        both = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=config.projection_size)
        self.normalised = Normalised(config)
        self.model = VisionTextDualEncoderModel(both, vision_model=PooledResNet(vision), text_model=BertModel(text))

    def photos(self, pixels: Tensor) -> Tensor:
        pooled = self.model.vision_model(pixel_values=self.normalised(pixels)).pooler_output
        return F.normalize(self.model.visual_projection(pooled).float(), dim=-1)

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        pooled = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(self.model.text_projection(pooled).float(), dim=-1)

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        return (self.texts(ids, mask) * photos).sum(dim=-1)

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, text_group: Tensor, **_: Any
    ) -> PeerOutput:
        scale = self.model.logit_scale.exp().clamp(max=100)
        vectors = self.photos(pixel_values), self.texts(input_ids, attention_mask)
        loss = contrastive_loss(*vectors, scale, text_group)
        return PeerOutput(loss=loss, parts={"contrastive": loss})


class SingleStream(nn.Module):
    """Learns to tell a product's own text and photo from wrong ones; ``pair_scores`` are match logits."""

    accuracy: Tensor
    grade: Tensor

    def __init__(self, hidden_size: int, std: float, harder_from: float) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)
        nn.init.normal_(self.score.weight, std=std)
        nn.init.zeros_(self.score.bias)
        self.harder_from = harder_from
        self.register_buffer("accuracy", torch.tensor(0.5))
        self.register_buffer("grade", torch.tensor(RANDOM))

    def photos(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        text_group: Tensor,
        subcategory: Tensor,
        draws: Tensor,
    ) -> PeerOutput:
        rows = torch.arange(len(pixel_values), device=pixel_values.device)
        forbidden = equal_texts(text_group) | torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        unlike = subcategory[:, None] != subcategory[None, :]
        flat = torch.zeros(forbidden.shape, device=rows.device)
        wrong_text, wrong_photo = (draw_negatives(flat, forbidden, draw, int(self.grade), unlike) for draw in draws)
        texts, photos = torch.cat([rows, wrong_text, rows]), torch.cat([rows, rows, wrong_photo])
        logits = self.pair_scores(
            input_ids[texts], attention_mask[texts], self.photos(pixel_values).index_select(0, photos)
        )
        matches = torch.arange(len(texts), device=rows.device) < len(rows)
        valid = torch.cat([rows >= 0, ~forbidden.all(dim=1), ~forbidden.all(dim=1)])
        loss = matching_loss(logits[valid], matches[valid].float())
        right = ((logits > 0) == matches).float()
        accuracy = (right[matches].mean() + right[~matches & valid].mean()) / 2
        if self.training:
            self.accuracy.lerp_(accuracy.detach(), 0.02)
            if self.grade < SAME_SUBCATEGORY and self.accuracy > self.harder_from:
                self.grade.fill_(SAME_SUBCATEGORY)
        return PeerOutput(loss=loss, parts={"ITM": loss}, accuracies={"ITM": accuracy})


class Vilt(SingleStream):
    """Linear patches of the photo beside the words."""

    def __init__(self, config: KaleidoBertConfig, patch: int) -> None:
        text = config.encoder_config
        super().__init__(text.hidden_size, text.initializer_range, config.hard_negatives_from)
        sizes = {name: getattr(text, name) for name in SIZES}
        chosen = ViltConfig(**sizes, image_size=config.image_size, patch_size=patch, max_image_length=-1)
        self.normalised = Normalised(config)
        self.model = ViltModel(chosen)

    def photos(self, pixels: Tensor) -> Tensor:
        """Embedded patches (B, 1 + P, H): they are the same for every text."""
        whole = torch.ones(len(pixels), *pixels.shape[-2:], dtype=torch.long, device=pixels.device)
        return self.model.embeddings.visual_embed(self.normalised(pixels), whole, max_image_length=-1)[0]

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        seen = torch.ones(photos.shape[:2], dtype=torch.long, device=photos.device)
        output = self.model(input_ids=ids, attention_mask=mask, image_embeds=photos, pixel_mask=seen)
        return self.score(output.pooler_output)[:, 0].float()


class VisualBert(SingleStream):
    """One grid of the backbone's features beside the words; the backbone is trained along."""

    def __init__(self, config: KaleidoBertConfig, patch: int) -> None:  # noqa: ARG002
        text = config.encoder_config
        super().__init__(text.hidden_size, text.initializer_range, config.hard_negatives_from)
        self.encoder = PatchEncoder(
            config.backbone_config, "pyramid", config.crop_size, config.image_mean, config.image_std
        )
        sizes = {name: getattr(text, name) for name in SIZES}
        self.model = VisualBertModel(VisualBertConfig(**sizes, visual_embedding_dim=self.encoder.feature_size))

    def photos(self, pixels: Tensor) -> Tensor:
        features = self.encoder(pixels, [Level(GRID)])
        return F.layer_norm(features.float(), features.shape[-1:])

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        seen = torch.ones(photos.shape[:2], dtype=torch.long, device=photos.device)
        output = self.model(input_ids=ids, attention_mask=mask, visual_embeds=photos, visual_attention_mask=seen)
        return self.score(output.pooler_output)[:, 0].float()


SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"),
)
PEERS = {"clip": Clip, "vilt": Vilt, "visualbert": VisualBert}


class PeerCollator(PairCollator):
    """Pairs, and each product's sub-category (B,) as a number."""

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        numbers = np.unique(self.catalogue.subcategories, return_inverse=True)[1].astype(np.int64)
        return super().__call__(indices) | {"subcategory": torch.from_numpy(numbers[np.asarray(indices)])}


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
    figures["minutes"] = round(trainer.pace.seconds() / 60, 2)
    figures["history"] = trainer.state.log_history
    return figures | measure(model, PairCollator(measured, tokenizer, seed=0, augmented=False), table)


def peer_trainer(
    model: nn.Module,
    name: str,
    tokenizer: Any,
    train: Catalogue,
    validation: Catalogue,
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
        pace=Pace(arguments.minutes),
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
    parser.add_argument("--patch", type=int, default=10, help="side of ViLT's patches in pixels")
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
