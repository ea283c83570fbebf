"""What a training step costs, and encoding a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from kaleidobert.benchmark.drawn import Subject, subject
from kaleidobert.benchmark.operations import bare_products, operations_of
from kaleidobert.benchmark.timing import Limit, Row, Times, interleaved, machine
from kaleidobert.benchmark.vilt import ViltForPreTraining
from kaleidobert.model.pretraining import active_levels
from kaleidobert.training.collators import collator_settings, with_pixels
from kaleidobert.training.encode import embed_products
from kaleidobert.training.pretraining_collator import PreTrainingCollator
from kaleidobert.training.sampling import Draw
from kaleidobert.training.settings import RunSettings
from kaleidobert.training.trainer import OPTIMIZERS

Batch = dict[str, Any]
ENCODED = 128  # photos per forward pass, as in `embed_products`


def benchmark_training(settings: RunSettings, encoded: int, rounds: int, data: str | None = None) -> dict[str, Any]:
    """One step of each phase of a run, and ``encoded`` products encoded."""
    training = settings.training
    measured = subject(settings, data, max(encoded, training.batch_size))
    phases = _phases(measured)
    vilt = ViltForPreTraining(measured.config).to(measured.model.device)
    step = partial(_step, measured.model, _optimizer(measured.model, settings), training.bf16)
    batch = next(iter(phases.values())).batch
    functions: dict[str, Callable[[], object]] = {
        "ViLT": partial(_step, vilt, _optimizer(vilt, settings), training.bf16, batch)
    }
    operations = {}
    dtype = torch.bfloat16 if training.bf16 else torch.float32
    for name, phase in phases.items():
        counted = operations_of(partial(step, phase.batch))
        operations[name] = counted.figures()
        functions[name] = partial(step, phase.batch)
        functions[f"{name}, matrices"] = bare_products(counted.products, dtype, measured.model.device)
    times = interleaved(functions, rounds)
    rows = [Row(f"step: {name}", times[name], "ViLT", times["ViLT"]) for name in phases]
    whole = _mean(phases, times, "{}")
    rows.append(Row("step: mean of a run", whole, "ViLT", times["ViLT"], Limit("speed", "≥", 1.3)))
    bare = _mean(phases, times, "{}, matrices")
    rows.append(Row("step: mean of a run", whole, "its matrix products alone", bare, Limit("speed", "≥", 0.6)))
    rows.append(_encoding(measured, encoded, rounds))
    counts = {"batch": training.batch_size, "encoded": encoded, "operations": operations}
    return {"machine": machine(), **counts, "rows": [row.figures() for row in rows]}


class Phase(NamedTuple):
    """A part of a run, ``share`` of it, and a batch with what is trained in it."""

    share: float
    batch: Batch


def _phases(measured: Subject) -> dict[str, Phase]:
    """As in `KaleidoBertTrainer`: LM and the joint objectives start at their share of the run."""
    training, objectives = measured.settings.training, measured.settings.objectives
    collator = PreTrainingCollator(
        measured.dataset,
        measured.tokenizer,
        active_levels(measured.model.config.level_table, objectives),
        augmented=True,
        corruption=objectives.corruption,
        token_masking=objectives.token_masking,
        **collator_settings(training),
    )
    device = measured.model.device
    whole = collator.collate([Draw(product) for product in range(training.batch_size)])
    whole = {name: values.to(device) for name, values in whole.items()}
    starts = sorted({0.0, training.joint_from, training.lm_from} - {1.0})
    phases = {}
    for start, end in zip(starts, [*starts[1:], 1.0], strict=True):
        lm, joint = start >= training.lm_from, start >= training.joint_from
        name = "embeddings" + ", LM" * lm + ", joint objectives" * joint
        left_out = ({} if lm else {"text_only": None}) | ({} if joint else {"negative_draws": None})
        phases[name] = Phase(end - start, whole | left_out)
    return phases


def _mean(phases: dict[str, Phase], times: dict[str, list[float]], name: str) -> Times:
    """Seconds of a run's mean step in each round."""
    parts = zip(*(times[name.format(phase)] for phase in phases), strict=True)
    return [sum(phase.share * part for phase, part in zip(phases.values(), each, strict=True)) for each in parts]


def _optimizer(model: nn.Module, settings: RunSettings) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return OPTIMIZERS[settings.training.optimizer](trained, lr=1e-6, fused=True)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, bf16: bool, batch: Batch) -> None:
    """One training step, as the library's trainer does it."""
    model.train()
    device = batch["input_ids"].device.type
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        loss = model(**with_pixels(batch)).loss
    loss.backward()
    nn.utils.clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _encoding(measured: Subject, count: int, rounds: int) -> Row:
    model, dataset, tokenizer = measured.model.eval(), measured.dataset.head(count), measured.tokenizer
    device = model.device.type
    rows = range(count)
    batches = []
    for start in range(0, count, ENCODED):
        texts = tokenizer(dataset.texts[start : start + ENCODED], padding=True, truncation=True, return_tensors="pt")
        photos = with_pixels({"photos": torch.from_numpy(dataset.pixels[start : start + ENCODED])})
        batches.append((photos["pixel_values"], texts["input_ids"], texts["attention_mask"]))

    @torch.inference_mode()
    def bare() -> None:
        with torch.autocast(device, torch.bfloat16):
            for pixels, ids, mask in batches:
                model.get_image_features(pixels.to(device))
                model.get_text_features(ids.to(device), mask.to(device))

    functions = {"ours": lambda: embed_products(model, tokenizer, dataset, rows, "encoding"), "bare": bare}
    times = interleaved(functions, rounds)
    limit = Limit("speed", "≥", 0.9)
    return Row(f"{count} products encoded", times["ours"], "backbone and encoder alone", times["bare"], limit)
