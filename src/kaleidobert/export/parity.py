"""How far an exported model is from the run that it was made of."""

from __future__ import annotations

import numpy as np
import torch

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import partner_ranks, recall
from kaleidobert.evaluation.pair_scores import DirectionScores, best, ranked_by
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.onnx_scorer import OnnxScorer
from kaleidobert.scoring.protocol import PairScorer, as_numpy
from kaleidobert.scoring.ranking import RERANK
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.synthetic.catalogue import generate
from kaleidobert.training.dataset import PreparedDataset

EXAMPLES = 16  # drawn products, on which errors are measured
BATCH = 64  # photos encoded at once


def largest_errors(run: KaleidoBertScorer, exported: OnnxScorer) -> dict[str, float]:
    """The largest absolute difference of each output on `EXAMPLES` drawn products, from photo and text on.

    Raises ``InputError`` where the two tokenize a text differently.
    """
    products = list(generate(EXAMPLES))
    photos, texts = [each.open() for each in products], [each.text for each in products]
    texts[::2] = [each.title for each in products[::2]]  # shorter ones
    text, other_text = run.encode_texts(texts), exported.encode_texts(texts)
    if not np.array_equal(as_numpy(text.input_ids), other_text.input_ids):
        raise InputError(f"the tokenizer of {run.name} cannot be exported: its token ids differ without transformers")
    image, other_image = run.encode_images(photos), exported.encode_images(photos)
    inputs = text.input_ids, text.attention_mask, image.patch_states
    outputs = {
        "text embeddings": (text.embeds, other_text.embeds),
        "image embeddings": (image.embeds, other_image.embeds),
        "hubness of texts": (text.hubness, other_text.hubness),
        "hubness of photos": (image.hubness, other_image.hubness),
        "patch states": (image.patch_states, other_image.patch_states),
        "joint scores": tuple(each.joint_scores(*inputs) for each in (run, exported)),
        "contributions of patches": tuple(each.project_patches(inputs[2])[1] for each in (run, exported)),
    }
    return {name: float(np.abs(as_numpy(one) - as_numpy(other)).max()) for name, (one, other) in outputs.items()}


def recall_at_1(scorer: PairScorer, dataset: PreparedDataset, table: np.ndarray) -> dict[str, float]:
    """R@1 in percent of each query's text among the photos of its candidates (Q, C), its own product in column 0.

    By embeddings alone, and by the search's formula with `RERANK` re-ranked candidates.
    """
    products, places = np.unique(table, return_inverse=True)
    places = places.reshape(table.shape)
    embeds, hubness, states = _encoded(scorer, dataset, np.maximum(products, 0))
    shape = torch.zeros(table.shape)
    missing = torch.from_numpy(table < 0)
    found = DirectionScores("TIR", shape, shape.clone(), missing, missing.clone())
    with progress_bar() as progress:
        for query in progress.track(range(len(table)), description="Ranking photos"):
            text = [as_numpy(part) for part in scorer.encode_texts([dataset.texts[table[query, 0]]])]
            photos = places[query]
            similarity = scorer.similarity(embeds[photos] @ text[0][0], hubness[photos] + text[1])
            found.vectors[query] = torch.from_numpy(similarity).masked_fill(missing[query], float("-inf"))
            found.head[query] = best(found.vectors[query : query + 1], RERANK)[0] & ~missing[query]
            pairs = photos[found.head[query].numpy()]
            ids, mask = (np.repeat(part, len(pairs), axis=0) for part in text[2:])
            own = scorer.own_rows([dataset.ids[row] for row in products[pairs]])
            joint = scorer.joint_scores(ids, mask, states[pairs], own=own)
            found.joint[query, found.head[query]] = torch.from_numpy(as_numpy(joint))
    rows = {name: ranked_by(name, scorer, found).numpy() for name in ("vectors", "combined")}
    return {name: recall(partner_ranks(scores))["R@1"] for name, scores in rows.items()}


def _encoded(scorer: PairScorer, dataset: PreparedDataset, products: np.ndarray) -> list[np.ndarray]:
    """Embeddings, hubness and patch states of the first views of these products."""
    columns: tuple[list[np.ndarray], ...] = ([], [], [])
    with progress_bar() as progress:
        for start in progress.track(range(0, len(products), BATCH), description="Encoding photos"):
            rows = products[start : start + BATCH]
            pixels = dataset.pixels[dataset.first_view[rows]].transpose(0, 3, 1, 2).astype(np.float32) / 255
            batch = scorer.encode_pixels(pixels, [dataset.ids[row] for row in rows])
            for column, part in zip(columns, batch, strict=True):
                column.append(as_numpy(part))
    return [np.concatenate(column) for column in columns]
