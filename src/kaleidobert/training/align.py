"""`kaleidobert align`: train the captioner on the catalogue's own photos and texts, then write aligned pairs.

The captioner is trained on the same locked portions as pre-training (see `dataset`), prepared with the same settings
of a preset's image processor, so attention maps and patches share the locked portion's coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import AutoTokenizer

from kaleidobert.alignment.captioner import Captioner
from kaleidobert.alignment.generator import AlignedPair, AlignmentGenerator, check_source
from kaleidobert.alignment.matching import content_words
from kaleidobert.alignment.pair_store import PAIRS_FILE, AlignmentSummary, AlignmentWriter
from kaleidobert.data.readers import splits_of
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.files import write_whole
from kaleidobert.model import KaleidoBertConfig, KaleidoBertImageProcessor
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.progress import progress_bar
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import RunSettings
from kaleidobert.training.train_captioner import AlignSettings, train_captioner, validated_settings
from kaleidobert.vision.saliency.detectors import detector

SETTINGS_FILE = "align.yaml"
EARLIER_NAMES = {"told": "lstm_samples", "told_from": "lstm_from"}  # settings in folders of earlier versions
CHUNK = 128  # views in a batch


def align(
    data: str | Path,
    out: Path,
    photos: RunSettings,
    settings: AlignSettings,
    source: str = "teacher",
    reading: Reading = BY_DEFAULT,
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train a captioner into the folder ``out``, unless there is one already, and write pairs for all splits.

    ``photos``: the pre-training preset whose photo settings are used. Returns the captioner's validation loss if it
    was trained, and the counts of the alignment (see `AlignmentSummary.figures`).
    """
    check_source(source)
    image_processor = _image_processor(photos)
    figures: dict[str, Any] = {}
    if not (out / "model.safetensors").is_file() or not (out / SETTINGS_FILE).is_file():  # the latter is written last
        figures = fit_captioner(data, out, image_processor, settings, reading, max_minutes)
    elif max_minutes is not None:
        raise InputError(f"{out}: there is a captioner already; leave --max-minutes out, or choose another --out")
    elif KaleidoBertImageProcessor.from_pretrained(out).to_dict() != image_processor.to_dict():
        raise InputError(
            f"{out}: its captioner was trained on photos prepared in another way; choose another --preset or --out"
        )
    else:
        _write_settings(out, settings)
    return figures | write_pairs(data, out, load_generator(out, source), image_processor, reading)


def fit_captioner(
    data: str | Path,
    out: Path,
    image_processor: KaleidoBertImageProcessor,
    settings: AlignSettings,
    reading: Reading = BY_DEFAULT,
    max_minutes: float | None = None,
) -> dict[str, float]:
    """Train a captioner into the folder ``out``, for `load_generator`; returns its figures."""
    figures = train_captioner(data, out, image_processor, settings, reading, max_minutes)
    _write_settings(out, settings)
    return figures


def aligner(
    generator: AlignmentGenerator, catalogue: PreparedDataset
) -> Callable[[Sequence[tuple[str, int]]], Sequence[Sequence[AlignedPair]]]:
    """A function that aligns views of the catalogue, each given as (product id, number of the view), in one batch."""
    index_of = {product_id: index for index, product_id in enumerate(catalogue.ids)}

    def align(views: Sequence[tuple[str, int]]) -> Sequence[Sequence[AlignedPair]]:
        if not views:
            return []
        indices = [index_of[product_id] for product_id, _ in views]
        rows = [int(catalogue.first_view[index]) + view for index, (_, view) in zip(indices, views, strict=True)]
        pixels = to_pixel_values(torch.from_numpy(np.array(catalogue.pixels[rows])))
        return generator(pixels, [catalogue.texts[index] for index in indices])

    return align


def _write_settings(out: Path, settings: AlignSettings) -> None:
    write_whole(yaml.safe_dump(settings.model_dump(), sort_keys=False), out / SETTINGS_FILE)


def _image_processor(photos: RunSettings) -> KaleidoBertImageProcessor:
    config = KaleidoBertConfig(**photos.model)
    return KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)


def load_generator(
    folder: Path, source: str = "teacher", least_lift: float | None = None, maps: str | None = None
) -> AlignmentGenerator:
    """A folder's captioner, on the GPU if there is one. ``least_lift`` and ``maps`` override the folder's settings.

    Raises ``InputError`` if there is no captioner.
    """
    if not (folder / "model.safetensors").is_file() or not (folder / SETTINGS_FILE).is_file():
        raise InputError(f"no captioner in {folder}; train one with kaleidobert align DATA --out {folder}")
    settings = _read_settings(folder)
    captioner: Any = Captioner.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    captioner.to("cuda" if torch.cuda.is_available() else "cpu")
    lift = settings.least_lift if least_lift is None else least_lift
    chosen = settings.maps if maps is None else maps
    foreground = detector(KaleidoBertImageProcessor.from_pretrained(folder).saliency if settings.on_product else "none")
    return AlignmentGenerator(captioner, tokenizer, source, settings.levels, lift, settings.beams, chosen, foreground)


def _read_settings(folder: Path) -> AlignSettings:
    """A folder's settings. Raises ``InputError`` if they are invalid."""
    values = yaml.safe_load((folder / SETTINGS_FILE).read_text())
    renamed = {EARLIER_NAMES.get(name, name): value for name, value in values.items()}
    return validated_settings(renamed, f"{folder / SETTINGS_FILE}: ")


def write_pairs(
    data: str | Path,
    out: Path,
    generator: AlignmentGenerator,
    image_processor: KaleidoBertImageProcessor,
    reading: Reading = BY_DEFAULT,
) -> dict[str, Any]:
    """Align every view of every product and write ``out/pairs.parquet``; returns the counts of the alignment."""
    captioner = generator.captioner.fingerprint()
    summary = AlignmentSummary(generator.source, captioner, list(generator.grids), generator.least_lift)
    with AlignmentWriter(out / PAIRS_FILE, summary) as writer, progress_bar() as progress:
        for split in splits_of(data):
            catalogue = prepare(data, split, image_processor, reading)
            bar = progress.add_task(f"{split}: aligning words and patches", total=len(catalogue))
            for indices, found in _aligned(catalogue, generator):
                writer.add(found)
                _count(summary, catalogue, indices, found)
                progress.update(bar, advance=len(indices))
    return summary.figures()


Found = list[tuple[str, int, list[AlignedPair]]]  # product id, view, pairs


def _aligned(catalogue: PreparedDataset, generator: AlignmentGenerator) -> Iterator[tuple[range, Found]]:
    """Batches of products with the pairs of all their views."""
    start = 0
    while start < len(catalogue):
        last = int(np.searchsorted(catalogue.first_view, catalogue.first_view[start] + CHUNK, side="right")) - 1
        end = min(max(start + 1, last), len(catalogue))
        views = [
            (index, view)
            for index in range(start, end)
            for view in range(int(catalogue.first_view[index + 1] - catalogue.first_view[index]))
        ]
        pixels = catalogue.pixels[int(catalogue.first_view[start]) : int(catalogue.first_view[end])]
        pairs = generator(to_pixel_values(torch.from_numpy(np.array(pixels))), [catalogue.texts[i] for i, _ in views])
        yield range(start, end), [(catalogue.ids[i], view, each) for (i, view), each in zip(views, pairs, strict=True)]
        start = end


def _count(summary: AlignmentSummary, catalogue: PreparedDataset, indices: range, found: Found) -> None:
    """Add a batch's counts to the summary."""
    words = {catalogue.ids[index]: len(content_words(catalogue.texts[index])) for index in indices}
    summary.products += len(indices)
    summary.products_with_pairs += len({product_id for product_id, _, pairs in found if pairs})
    summary.words += sum(words[product_id] for product_id, _, _ in found)
    summary.words_with_pairs += sum(len({pair.word.start for pair in pairs}) for _, _, pairs in found)
