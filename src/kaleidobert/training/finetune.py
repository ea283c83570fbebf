"""Fine-tuning a pre-trained run end to end for a downstream task (SEED: ITR, TIR, CR, SUBR, FC)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from transformers import set_seed

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.data_summary import save_data_summary
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.downstream import (
    CaptioningCollator,
    ClassificationCollator,
    load_captioner,
    load_classifier,
    products_with_label,
    products_with_text,
)
from kaleidobert.training.encode import embed_products
from kaleidobert.training.runs import (
    clear_remains,
    finish_run,
    last_checkpoint,
    processes,
    save_run,
    training_arguments,
)
from kaleidobert.training.sampling import GroupedSampler
from kaleidobert.training.settings import RUN_SETTINGS, RunSettings, load_run_settings, load_settings
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.trainer import KaleidoBertTrainer

FREE = ("inputs",)  # settings of the model that fine-tuning may change
GENTLE = (
    "training.learning_rate=2e-4",
    "training.warmup_steps=20",
    "training.epochs=10",
    "training.subcategory_group=1",
    "training.similar_group=1",
)


class DownstreamTask(NamedTuple):
    """What a downstream task brings to `finetune`.

    defaults: settings that differ from pre-training's. usable: (catalogue, split) -> indices of the products that it
    takes. start: (pre-trained run, settings, training catalogue, usable) -> the model. collator: (model) -> what makes
    a collator of a catalogue. ranks: whether products are compared with each other.
    """

    defaults: tuple[str, ...]
    usable: Callable[[PreparedDataset, str], Sequence[int]]
    start: Callable[[Path, RunSettings, PreparedDataset, Sequence[int]], Any]
    collator: Callable[[Any], Callable[..., PairCollator]]
    ranks: bool = False


def _recognition(task: str) -> DownstreamTask:
    return DownstreamTask(
        # A new head, and joint layers that have hardly been asked about whole products: they have much to learn.
        defaults=(*GENTLE, "training.learning_rate=1e-3"),
        usable=lambda catalogue, split: products_with_label(task, catalogue, split),
        start=partial(load_classifier, task),
        collator=lambda model: partial(ClassificationCollator, task=task, classes=model.class_names),
    )


TASKS = {
    "retrieval": DownstreamTask(
        # Batches of few sub-categories, whose negatives are hard.
        defaults=(*GENTLE, "training.subcategory_group=32"),
        usable=lambda catalogue, _: range(len(catalogue)),
        start=lambda run, settings, *_: load_model(run, KaleidoBertForRetrieval, objectives=settings.objectives),
        collator=lambda _: PairCollator,
        ranks=True,
    ),
    "category": _recognition("category"),
    "subcategory": _recognition("subcategory"),
    "captioning": DownstreamTask(
        defaults=GENTLE,
        usable=products_with_text,
        start=lambda run, *_: load_captioner(run),
        collator=lambda _: CaptioningCollator,
    ),
}


def finetune_settings(task: str, run: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """The pre-training run's settings with the task's defaults and then the caller's ``key=value`` pairs.

    Raises ``InputError`` where these ask for another model than the run's.
    """
    before = load_run_settings(run)
    settings = load_settings(str(run / RUN_SETTINGS), [*TASKS[task].defaults, *overrides])
    for name, value in settings.model.items():
        if name not in FREE and value != before.model.get(name):
            raise InputError(
                f"--set model.{name}: fixed by the run that is fine-tuned; only {' and '.join(FREE)} can change"
            )
    return settings


def finetune(
    task: str,
    data: str | Path,
    model_folder: Path,
    out: Path,
    settings: RunSettings,
    columns: Mapping[str, str] | None = None,
    max_minutes: float | None = None,
    resume: bool = False,
) -> dict[str, float]:
    """Fine-tune for one of ``TASKS`` on whole texts; returns the last validation figures.

    ``products_left_out``: of the training products, those that the task cannot use, such as products without a label.
    """
    checkpoint = last_checkpoint(out, resume)
    training, chosen = settings.training, TASKS[task]
    if training.similar_group > 1 and not chosen.ranks:
        raise InputError(f"training.similar_group is for retrieval; {task} does not compare products")
    processor = load_processor(model_folder)
    state = processes()
    with state.main_process_first():
        train = prepare(data, "train", processor.image_processor, columns)
        validation = prepare(data, "validation", processor.image_processor, columns)
    products, validated = list(chosen.usable(train, "train")), list(chosen.usable(validation, "validation"))
    set_seed(training.seed)  # a new head is the same in every process
    model = chosen.start(model_folder, settings, train, products)
    if training.freeze_backbone:
        model.kaleidobert.freeze_backbone()
    arguments = training_arguments(out, training, len(products))
    if state.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        clear_remains(out, checkpoint)
        settings.save(out)
        save_data_summary(out, data, train=train, validation=validation)
        processor.save_pretrained(out)
    collate = partial(
        chosen.collator(model),
        tokenizer=processor.tokenizer,
        seed=training.seed,
        joint_samples=training.joint_samples,
        strength=training.augmentation,
        patch_dropout=training.patch_dropout,
        word_dropout=training.word_dropout,
        levels=model.config.level_table,
    )
    kinds, group, vectors = [train.subcategories[index] for index in products], training.subcategory_group, None
    if training.similar_group > 1:
        group = training.similar_group
        model.to(arguments.device)
        found = embed_products(model, processor.tokenizer, train, products, "finding similar photos")
        vectors = found.images.float().cpu().numpy()
    trainer = KaleidoBertTrainer(
        model=model,
        args=arguments,
        train_dataset=products,
        eval_dataset=validated[: training.evaluation_products],
        data_collator=collate(train, augmented=True, shard=BatchShard.here()),
        evaluation_collator=collate(validation, augmented=False),
        sampler=GroupedSampler(kinds, group, training.seed, vectors),
        budget=TimeBudget.resumed(checkpoint, max_minutes) if checkpoint else TimeBudget(max_minutes),
        title="fine-tuning",
        logs=out / "logs",
    )
    return finish_run(trainer, out, checkpoint, save_run) | {"products_left_out": len(train) - len(products)}
