"""Write a run as ONNX graphs, with all that a server needs beside them."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.measured_split import prepare_measured
from kaleidobert.evaluation.retrieval import draw_table
from kaleidobert.export.graphs import (
    CaptionEntry,
    Entry,
    ImageEntry,
    MatchingEntry,
    PatchEntry,
    SaliencyEntry,
    TextEntry,
)
from kaleidobert.export.int8 import quantise_text
from kaleidobert.export.parity import largest_errors, recall_at_1
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.exported import Exported
from kaleidobert.scoring.memory_file import MEMORY_FILE
from kaleidobert.scoring.onnx_processor import SALIENCY_GRAPH, TOKENIZER_FILE, OnnxProcessor
from kaleidobert.scoring.onnx_scorer import CAPTION, IMAGE, MATCHING, PATCHES, TEXT, OnnxScorer
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.vision.saliency.detectors import DETECTORS, detector, packaged_network
from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS, NetworkDetector

QUERIES = ("red dress", "white running shoes for men", "navy striped sweater without a hood", "black leather bag")
MAX_BYTES = 2**31 - 1  # of a graph in one file, as protobuf has it


def export_run(
    run: Path,
    out: Path,
    data: str | None = None,
    split: str | None = None,
    queries: int = 300,
    reading: Reading = BY_DEFAULT,
    int8: bool = False,
) -> dict[str, Any]:
    """Export a run into a new folder, which `OnnxScorer` reads; returns how far it is from the run.

    ``data``: a catalogue, on ``queries`` of whose products R@1 is measured before and after. ``int8``: whether to try
    8-bit weights for the text entry. Raises ``InputError`` for a folder that exists, and for what cannot be exported.
    """
    check_packages()
    if out.exists():
        raise InputError(f"{out} exists already: delete it, or choose another folder")
    scorer = KaleidoBertScorer.from_pretrained(run)
    with new_folder(out) as scratch:
        exported = write_export(scorer, run, scratch)
        report: dict[str, Any] = {}
        if int8:
            report["int8"] = quantise_text(scratch / TEXT, *OnnxProcessor(scratch, exported).tokens(QUERIES))
        again = OnnxScorer(scratch)
        report["largest_error"] = largest_errors(scorer, again)
        if data:
            dataset, measured = prepare_measured(data, split, run, scorer.processor.image_processor, reading)
            table = draw_table(dataset, "101", queries, seed=0)
            report |= {"data": Path(data).name, "split": measured, "queries": len(table)}
            report["R@1"] = {
                engine: recall_at_1(each, dataset, table) for engine, each in (("torch", scorer), ("onnx", again))
            }
        replace(exported, report=report).save(scratch)
    return report


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` at the end; after an error it is deleted instead."""
    scratch = path.with_name(f"{path.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_export(scorer: KaleidoBertScorer, run: Path, out: Path) -> Exported:
    """Write everything that `OnnxScorer` reads into a folder."""
    exported = _description(scorer, run)
    network = _saliency_network(scorer.processor.image_processor)
    entries = _entries(scorer)
    if network is not None:
        exported = replace(exported, saliency_side=network.side)
        entries[SALIENCY_GRAPH] = network
    scorer.processor.tokenizer.backend_tokenizer.save(str(out / TOKENIZER_FILE))
    scorer.ranking.save(out)
    if scorer.memory is not None:
        shutil.copyfile(run / MEMORY_FILE, out / MEMORY_FILE)
    with progress_bar() as progress:
        for name, entry in progress.track(entries.items(), total=len(entries), description="Tracing the model"):
            write_graph(entry, out / name)
    exported.save(out)
    return exported


def check_packages() -> None:
    """Raise ``InputError`` where a package of the extra [export] is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        hint = "install it with: pip install 'kaleidobert[export]'"
        raise InputError(f"exporting needs the package {error.name}; {hint}") from error


def write_graph(entry: Entry, file: Path) -> None:
    """Trace an entry of the model, in evaluation, and write it as one ONNX file. Raises ``InputError``."""
    with _quiet_exporter(), torch.no_grad():
        try:
            program = torch.onnx.export(
                entry.eval(),
                entry.example(),
                input_names=list(entry.axes),
                output_names=list(entry.outputs),
                dynamic_shapes=tuple(entry.axes.values()),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            found = program.model_proto
        except Exception as error:  # whatever a part of the model that cannot be traced raises
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            raise InputError(f"{entry.name} cannot be exported to ONNX: {reason}") from error
    if found.ByteSize() > MAX_BYTES:
        raise InputError(f"{entry.name} is larger than the 2 GB that an ONNX file can have")
    file.write_bytes(found.SerializeToString())


def _entries(scorer: KaleidoBertScorer) -> dict[str, Entry]:
    """The graphs by file; of the joint score's terms, those that have a weight."""
    model = scorer.model.cpu()
    model.set_attn_implementation("eager")
    entries: dict[str, Entry] = {TEXT: TextEntry(model), IMAGE: ImageEntry(model), PATCHES: PatchEntry(model)}
    if scorer.weights.itm_weight:
        entries[MATCHING] = MatchingEntry(model)
    if scorer.weights.lm_weight:
        entries[CAPTION] = CaptionEntry(model)
    return entries


def _description(scorer: KaleidoBertScorer, run: Path) -> Exported:
    tokenizer, images = scorer.processor.tokenizer, scorer.processor.image_processor
    if images.do_normalize or not images.do_rescale:
        raise InputError(f"{run / 'processor_config.json'}: an export needs do_normalize false and do_rescale true")
    return Exported(
        run=str(run.resolve()),
        fingerprint=scorer.fingerprint,
        scale=scorer.scale,
        levels=scorer.config.levels,
        image_processor=json.loads(json.dumps(images.to_dict(), default=str)),
        max_length=tokenizer.model_max_length,
        padding=tokenizer.pad_token_id,
        padding_token=tokenizer.pad_token,
    )


def _saliency_network(images: KaleidoBertImageProcessor) -> SaliencyEntry | None:
    """The foreground network, where the run has one. Raises ``InputError`` for a segmentation checkpoint."""
    name = images.saliency
    if name in DETECTORS and DETECTORS[name] is not packaged_network:
        return None
    found = NetworkDetector.load(PACKAGED_WEIGHTS) if name in DETECTORS else detector(name)
    if not isinstance(found, NetworkDetector):
        raise InputError(f"the saliency detector {name} is a segmentation checkpoint, which cannot be exported")
    return SaliencyEntry(found)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's remarks, which are about its own insides."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
