"""Fine-tuning a pre-trained run end to end for a downstream task (patent: ITR, TIR, CR, SUBR, FC)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.utils import broadcast_object_list
from transformers import set_seed

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.files import read_json, write_whole
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.lost_letters import warn_of_lost_letters
from kaleidobert.model.unfinished import check_finished
from kaleidobert.training.collators import PairCollator, collator_settings
from kaleidobert.training.dataset import PreparedDataset
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
    Finish,
    begin_run,
    finish_run,
    freeze,
    last_checkpoint,
    learning_rate_of,
    nothing_more,
    prepare_splits,
    processes,
    start_run,
    training_arguments,
)
from kaleidobert.training.sampling import GroupedSampler
from kaleidobert.training.settings import RUN_SETTINGS, RunSettings, load_run_settings, load_settings
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.trainer import KaleidoBertTrainer

CHOSEN_QUERIES = "chosen_queries.json"  # of a run that is trained by what shoppers chose
OVERRIDABLE = ("inputs",)  # settings of the model that fine-tuning may change
DEFAULTS = (
    "training.learning_rate=2e-4",
    "training.warmup_steps=20",
    "training.epochs=10",
    "training.subcategory_group=1",
    "training.similar_group=1",
    "training.freeze_backbone=false",  # as published: end to end
)
# Pre-training's rates of the trained parts would exceed that of new parts, which are no longer new.
ONE_RATE = ("training.text_learning_rate=null", "training.backbone_learning_rate=null")


class DownstreamTask(NamedTuple):
    """How `finetune` trains one task.

    defaults: settings that differ from pre-training's. usable: (dataset, split) -> indices of the products to train
    on. load: (pre-trained run, settings, training dataset, their indices) -> the model. collator: (model) -> a factory
    of collators. contrastive: whether products of a batch are compared with each other.
    """

    defaults: tuple[str, ...]
    usable: Callable[[PreparedDataset, str], Sequence[int]]
    load: Callable[[Path, RunSettings, PreparedDataset, Sequence[int]], Any]
    collator: Callable[[Any], Callable[..., PairCollator]]
    contrastive: bool = False


def _recognition(task: str) -> DownstreamTask:
    return DownstreamTask(
        # the head is new, and pre-training hardly trained the fusion layers on whole products
        defaults=(*DEFAULTS, "training.learning_rate=1e-3"),
        usable=lambda dataset, split: products_with_label(task, dataset, split),
        load=partial(load_classifier, task),
        collator=lambda model: partial(ClassificationCollator, task=task, classes=model.class_names),
    )


TASKS = {
    "retrieval": DownstreamTask(
        # batches of few sub-categories have hard negatives
        defaults=(*DEFAULTS, *ONE_RATE, "training.subcategory_group=32"),
        usable=lambda dataset, _: range(len(dataset)),
        load=lambda run, settings, *_: load_model(run, KaleidoBertForRetrieval, objectives=settings.objectives),
        collator=lambda _: PairCollator,
        contrastive=True,
    ),
    "category": _recognition("category"),
    "subcategory": _recognition("subcategory"),
    "captioning": DownstreamTask(
        defaults=(*DEFAULTS, *ONE_RATE),
        usable=products_with_text,
        load=lambda run, *_: load_captioner(run),
        collator=lambda _: CaptioningCollator,
    ),
}


def finetune_settings(task: str, run: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """The settings of the pre-trained run, overridden by the task's defaults, the run's own, and ``key=value`` pairs.

    Raises ``InputError`` for an override that would change the run's model.
    """
    check_finished(run)
    before = load_run_settings(run)
    own = [f"training.{name}={json.dumps(value)}" for name, value in before.finetuning.items()]
    settings = load_settings(str(run / RUN_SETTINGS), [*TASKS[task].defaults, *own, *overrides])
    for name, value in settings.model.items():
        if name not in OVERRIDABLE and value != before.model.get(name):
            raise InputError(
                f"--set model.{name}: fixed by the run that is fine-tuned; only {' and '.join(OVERRIDABLE)} can change"
            )
    return settings


def _kept(
    chosen_queries: Mapping[str, Sequence[str]] | None, out: Path, checkpoint: Path | None
) -> Mapping[str, Sequence[str]] | None:
    """The same queries in every process and after a resume, while the log that they are from grows."""
    file, found = out / CHOSEN_QUERIES, chosen_queries
    if processes().is_main_process:
        if checkpoint and file.exists():
            found = read_json(file, "delete it, and the queries are read from the log again")
        elif chosen_queries:
            write_whole(json.dumps(chosen_queries, ensure_ascii=False), file)
    [found] = broadcast_object_list([found])
    return found


def finetune(
    task: str,
    data: str | Path,
    model_folder: Path,
    out: Path,
    settings: RunSettings,
    reading: Reading = BY_DEFAULT,
    max_minutes: float | None = None,
    resume: bool = False,
    chosen_queries: Mapping[str, Sequence[str]] | None = None,
    finish: Finish = nothing_more,
) -> dict[str, Any]:
    """Fine-tune for one of ``TASKS`` and write the run folder ``out``; returns the last validation figures.

    ``products_left_out`` counts the training products that the task cannot use, such as those without a label. A
    retrieval run ranks only after `evaluation.fit_ranker.fit_ranker`, which may be part of ``finish``: see
    `runs.finish_run`. ``chosen_queries``, of retrieval: by product id, the queries from which shoppers chose it
    (`data.events`); ``products_chosen`` counts those that are trained on.
    """
    checkpoint = last_checkpoint(out, resume)
    training, chosen = settings.training, TASKS[task]
    if training.similar_group > 1 and not chosen.contrastive:
        raise InputError(f"training.similar_group is for retrieval; {task} does not compare products")
    if chosen.contrastive:
        settings.objectives.check_batches(("ITM",), 0.0, training.joint_samples)
    processor = load_processor(model_folder)
    with begin_run(out):
        train, validation = prepare_splits(data, processor.image_processor, reading)
        advice = "pre-train on this catalogue"
        warn_of_lost_letters(processor.tokenizer, train.texts, f"the tokenizer of {model_folder}", advice)
        products, validated = list(chosen.usable(train, "train")), list(chosen.usable(validation, "validation"))
        set_seed(training.seed)  # a new head is the same in every process
        model = chosen.load(model_folder, settings, train, products)
        freeze(model.kaleidobert, training)
        arguments = training_arguments(out, training, len(products), settings.objectives)
    start_run(out, checkpoint, settings, processor, data, train, validation)
    chosen_queries = _kept(chosen_queries, out, checkpoint)
    collate = partial(
        chosen.collator(model),
        tokenizer=processor.tokenizer,
        levels=model.config.level_table,
        **collator_settings(training),
        **({"chosen": chosen_queries} if chosen_queries else {}),
    )
    subcategories, group, embeds = [train.subcategories[index] for index in products], training.subcategory_group, None
    if training.similar_group > 1:
        group = training.similar_group
        model.to(arguments.device)
        found = embed_products(model, processor.tokenizer, train, products, "finding similar photos")
        embeds = found.images.float().cpu().numpy()
    trainer = KaleidoBertTrainer(
        model=model,
        learning_rate_of=partial(learning_rate_of, training, model.config.encoder_config.num_hidden_layers),
        optimizer=training.optimizer,
        args=arguments,
        train_dataset=train,
        eval_dataset=validated[: training.evaluation_products],
        data_collator=collate(train, augmented=True, shard=BatchShard.here()),
        evaluation_collator=collate(validation, augmented=False),
        sampler=GroupedSampler(subcategories, group, training.seed, embeds, products),
        workers=training.workers,
        budget=TimeBudget.resumed(checkpoint, max_minutes) if checkpoint else TimeBudget(max_minutes),
        title="fine-tuning",
        logs=out / "logs",
    )
    counts = {"products_left_out": len(train) - len(products)}
    if chosen_queries:
        counts["products_chosen"] = sum(product in chosen_queries for product in train.ids)
    return finish_run(trainer, out, checkpoint, finish) | counts
