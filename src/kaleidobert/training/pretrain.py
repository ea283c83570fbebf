"""Pre-training: from a catalogue to a run folder (see `runs`), which every other command takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast, set_seed

from kaleidobert.alignment.pair_store import Alignment, RunAlignment
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.main_process import is_main_process
from kaleidobert.model import (
    KaleidoBertConfig,
    KaleidoBertForPreTraining,
    KaleidoBertImageProcessor,
    KaleidoBertProcessor,
)
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.initial import load_image, load_text, text_checkpoint
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.lost_letters import warn_of_lost_letters
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretraining import active_levels
from kaleidobert.model.tokenizer import load_tokenizer, token_counts, train_tokenizer, trim_vocabulary
from kaleidobert.progress import note
from kaleidobert.training.align import SETTINGS_FILE as ALIGN_SETTINGS
from kaleidobert.training.align import aligner, fit_captioner, load_generator
from kaleidobert.training.cached_features import open_run_features
from kaleidobert.training.collators import collator_settings
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.pretraining_collator import PreTrainingCollator
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
from kaleidobert.training.settings import RunSettings
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.train_captioner import AlignSettings
from kaleidobert.training.trainer import KaleidoBertTrainer

ALIGNMENT_FOLDER = "alignment"  # in a run folder
MIN_VALIDATED = 64  # products per validation batch for which the joint objectives are computed, at least
TOKENIZER_KINDS = ("wordpiece", "bpe", "unigram", "sentencepiece")


def pretrain(
    data: str | Path,
    out: Path,
    settings: RunSettings,
    reading: Reading = BY_DEFAULT,
    max_minutes: float | None = None,
    resume: bool = False,
    alignment: Path | None = None,
    features: Path | None = None,
    finish: Finish = nothing_more,
) -> dict[str, Any]:
    """Pre-train on ``data``'s train split and write the run folder ``out``; returns the last validation figures.

    To rank with the run, call `evaluation.fit_ranker.fit_ranker` next, or in ``finish`` (see `runs.finish_run`).

    ``alignment``: a folder written by `align`; masking then prefers aligned pairs (patent: AGM). Without one, the run
    makes its own pairs for ``training.align_minutes``; if these are 0, masking is random.
    ``features``: a folder written by `build_features`, the features of the frozen backbone, which then is not run.
    """
    checkpoint = last_checkpoint(out, resume)
    training = settings.training
    if training.similar_group > 1:
        raise InputError(
            "training.similar_group needs the embeddings of a trained run: use it with finetune, or set it to 1"
        )
    settings.objectives.check_batches(("AMLM", "ITM"), training.joint_from, training.joint_samples, training.lm_from)
    aligned: Alignment | RunAlignment | None = Alignment.load(alignment) if alignment else None
    set_seed(training.seed)
    config = KaleidoBertConfig(**settings.model)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    with begin_run(out):
        train, validation = prepare_splits(data, image_processor, reading)
        arguments = training_arguments(out, training, len(train), settings.objectives)
        # A resumed run keeps its tokenizer, even where the catalogue has changed since.
        kept_tokens: list[int] | None = None
        if checkpoint:
            tokenizer: Any = AutoTokenizer.from_pretrained(out)
        else:
            tokenizer, kept_tokens = _tokenizer(settings, train)
        model = _model(config, tokenizer, kept_tokens, settings, checkpoint is None)
        if not (checkpoint or settings.initial.run):
            model.lm_head.start_from_frequencies(token_counts(tokenizer, train.texts))
        freeze(model.kaleidobert, training)
        stored = open_run_features(features, {"train": train, "validation": validation}, model.kaleidobert, settings)
        budget = TimeBudget.resumed(checkpoint, max_minutes) if checkpoint else TimeBudget(max_minutes)

    if aligned is None and training.align_minutes and settings.objectives.masks:
        aligned = _own_alignment(data, out, settings, image_processor, train, reading, budget)
    start_run(out, checkpoint, settings, KaleidoBertProcessor(image_processor, tokenizer), data, train, validation)
    collate: Callable[..., PreTrainingCollator] = partial(
        PreTrainingCollator,
        tokenizer=tokenizer,
        levels=active_levels(config.level_table, settings.objectives),
        alignment=aligned,
        corruption=settings.objectives.corruption,
        token_masking=settings.objectives.token_masking,
        **collator_settings(training),
    )
    trainer = KaleidoBertTrainer(
        joint_from=training.joint_from,
        lm_from=training.lm_from,
        model=model,
        learning_rate_of=partial(learning_rate_of, training, model.config.encoder_config.num_hidden_layers),
        optimizer=training.optimizer,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation.head(training.evaluation_products),
        data_collator=collate(
            train,
            augmented=True,
            shard=BatchShard.here(),
            features=stored["train"],
        ),
        # Random masking in every run, so that runs with and without alignment are comparable.
        evaluation_collator=collate(
            validation,
            augmented=False,
            alignment=None,
            features=stored["validation"],
            joint_samples=max(training.joint_samples, MIN_VALIDATED),
        ),
        sampler=GroupedSampler(
            train.subcategories,
            training.subcategory_group,
            training.seed,
            joint=lambda: budget.approaches(training.joint_from),
        ),
        workers=training.workers,
        budget=budget,
        title="pre-training",
        logs=out / "logs",
    )
    figures = finish_run(trainer, out, checkpoint, finish)
    return figures | ({"products_without_pairs": _without_pairs(aligned, train)} if alignment else {})


def _own_alignment(
    data: str | Path,
    out: Path,
    settings: RunSettings,
    image_processor: KaleidoBertImageProcessor,
    train: PreparedDataset,
    reading: Reading,
    budget: TimeBudget,
) -> RunAlignment:
    """The run's own pairs, by a captioner that is trained in its first minutes, and used again when it is resumed.

    The time counts towards the budget, of which it is a tenth at most.
    """
    folder, minutes = out / ALIGNMENT_FOLDER, settings.training.align_minutes
    limit = minutes if budget.max_minutes is None else min(minutes, budget.max_minutes / 10)
    with processes().main_process_first():
        if is_main_process() and not (folder / ALIGN_SETTINGS).exists():
            note(f"first, {limit:.2g} minutes to find which patches the words describe; pre-training follows")
            started = time.monotonic()
            chosen = AlignSettings(image=settings.initial.image, bf16=settings.training.bf16)
            fit_captioner(data, folder, image_processor, chosen, reading, limit)
            budget.seconds_before += time.monotonic() - started
    return RunAlignment(aligner(load_generator(folder), train))


def _without_pairs(aligned: Any, train: PreparedDataset) -> int:
    found = {product for product, _ in aligned.rows}
    return sum(product not in found for product in train.ids)


def _model(
    config: KaleidoBertConfig,
    tokenizer: PreTrainedTokenizerFast,
    kept_tokens: list[int] | None,
    settings: RunSettings,
    load: bool,
) -> KaleidoBertForPreTraining:
    """A new model, with the weights of the checkpoints that it starts from unless its own will be loaded."""
    positions = config.encoder_config.max_position_embeddings
    if tokenizer.model_max_length > positions:
        raise InputError(
            f"tokenizer.max_length is {tokenizer.model_max_length}, but model.encoder_config.max_position_embeddings "
            f"{positions}; lower the first or raise the second"
        )
    config.encoder_config.vocab_size = len(tokenizer)
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    if settings.initial.run:
        if settings.initial.text or settings.initial.image:
            raise InputError(
                "initial.run sets all weights; remove initial.text and initial.image, or remove initial.run"
            )
        return _continued(Path(settings.initial.run), config, settings.objectives)
    model = KaleidoBertForPreTraining(config, settings.objectives)
    if settings.initial.text and load:
        load_text(model.kaleidobert, settings.initial.text, kept_tokens)
    if settings.initial.image and load:
        load_image(model.kaleidobert, settings.initial.image)
    return model


def _continued(run: Path, config: KaleidoBertConfig, objectives: Objectives) -> KaleidoBertForPreTraining:
    """A model with an earlier run's weights. Raises ``InputError`` where its sizes differ from the settings."""
    weights = load_model(run, KaleidoBertForPreTraining).state_dict()
    model = KaleidoBertForPreTraining(config, objectives)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = shorten(str(error).partition(":")[2], 200)
        raise InputError(f"{run}: its weights do not fit this run's settings: {reason}") from error
    return model


def _tokenizer(settings: RunSettings, train: PreparedDataset) -> tuple[Any, list[int] | None]:
    """The run's tokenizer and, where a checkpoint's was fitted to the catalogue, the checkpoint's ids of its tokens."""
    chosen, text = settings.tokenizer, settings.initial.text
    if settings.initial.run:
        tokenizer = load_processor(Path(settings.initial.run)).tokenizer
        warn_of_lost_letters(tokenizer, train.texts, "initial.run's tokenizer", "train without initial.run")
        return tokenizer, None
    if text:
        tokenizer = load_tokenizer(text_checkpoint(text), chosen.max_length)
        if chosen.vocabulary is not None:
            return trim_vocabulary(tokenizer, train.texts, chosen.vocabulary)
        advice = "set tokenizer.vocabulary to a number of tokens, or start from a checkpoint for these languages"
        warn_of_lost_letters(tokenizer, train.texts, f"the tokenizer of {text}", advice)
        return tokenizer, None
    if chosen.kind in TOKENIZER_KINDS:
        return train_tokenizer(train.texts, chosen.kind, chosen.vocabulary or 30000, chosen.max_length), None
    tokenizer = load_tokenizer(chosen.kind, chosen.max_length)
    warn_of_lost_letters(tokenizer, train.texts, f"the tokenizer {chosen.kind}", "set tokenizer.kind=wordpiece")
    return tokenizer, None
