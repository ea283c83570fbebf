"""Retrieval among products of several splits: the shortlist's ranks by a second route, and seen and unseen apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.gallery import Gallery, final_ranks, shortlists, vector_ranks
from kaleidobert.evaluation.metrics.retrieval import partner_ranks
from kaleidobert.evaluation.pair_scores import EncodedProducts, embed, encode, ranked_by, score
from kaleidobert.evaluation.protocols import candidate_table
from kaleidobert.evaluation.retrieval import MEMORY_SCORERS, SCORERS, evaluate_retrieval
from kaleidobert.scoring.scorer import KaleidoBertScorer

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def scorer(run):
    return KaleidoBertScorer.from_pretrained(run)


def test_a_gallery_ranks_as_the_full_protocol_does(scorer, test_split):
    """One split alone, where the full protocol scores every candidate: by vectors and re-ranked."""
    scorer = scorer.with_weights(replace(scorer.weights, joint_weight={"TIR": 2.0, "ITR": 0.5}))
    gallery = Gallery.encode(scorer, {"test": test_split})
    queries = np.arange(0, 44, 3)
    embedded = embed(scorer, gallery.encoded)
    lists = shortlists(scorer, gallery, embedded, queries, 7)
    ways = score(scorer, gallery.encoded, (lists[0].table, lists[1].table), 7, None, embedded)
    table = candidate_table(test_split, queries, "full", seed=0)
    whole = score(scorer, gallery.encoded, table, 7, None, embedded)
    for way, expected, each in zip(ways, whole, lists, strict=True):
        assert each.table[:, 0].tolist() == queries.tolist() and each.table.shape == (15, 8)
        for row in ("vectors", "joint", "combined"):
            ranks = partner_ranks(ranked_by(row, scorer, expected).numpy())
            # equal texts tie, and a tie may be read from either side of the head's edge
            assert (final_ranks(row, scorer, way, each.ranks) != ranks).mean() < 0.1, row
    one, other = vector_ranks(scorer, gallery, embedded, queries)
    assert (one.tolist(), other.tolist()) == (lists[0].ranks.tolist(), lists[1].ranks.tolist())


def test_equal_texts_are_never_candidates(scorer, test_split):
    doubled = replace(test_split, texts=[test_split.texts[0]] * 5 + test_split.texts[5:])
    gallery = Gallery.encode(scorer, {"test": doubled})
    lists = shortlists(scorer, gallery, embed(scorer, gallery.encoded), np.arange(5), 43)
    for each in lists:
        others = each.table[:, 1:]
        assert not np.isin(others, np.arange(5)).any() and ((others >= 0).sum(axis=1) <= 39).all()


def test_parts_are_joined_with_their_texts_padded(scorer, test_split, catalogue):
    parts = [encode(scorer, test_split.head(3)), encode(scorer, catalogue.head(5))]
    whole = EncodedProducts.joined(parts)
    assert len(whole) == 8 and whole.patch_states.shape[0] == 8
    assert whole.own[:3].tolist() == [-1] * 3 and (whole.own[3:] >= 0).all()  # of what the memory holds
    length = parts[1].attention_mask.sum(dim=1)
    assert torch.equal(whole.attention_mask[3:].sum(dim=1), length)


def test_a_trained_product_is_not_found_by_its_own_memory(scorer, catalogue):
    """A memory that leads each text to its own photo makes trained products perfect, unless it lacks their row."""
    scorer = scorer.with_weights(replace(scorer.weights, memory_weight=20.0, memory_neighbours=1, hubness_weight=0.0))
    encoded = encode(scorer, catalogue)
    texts = embed(scorer, encoded).texts
    photos = scorer.memory.pairs.images.float()[encoded.own]
    led = embed(scorer, replace(encoded, text_own=torch.full((64,), -1))).texts
    assert ((led * photos).sum(dim=1) > 0.98).float().mean() > 0.8
    assert ((texts * photos).sum(dim=1) > 0.98).float().mean() < ((led * photos).sum(dim=1) > 0.98).float().mean()


def test_seen_and_unseen_are_told_apart(copy, shapes):
    figures = evaluate_retrieval(shapes, copy, protocol="full", queries=20, rerank=5, gallery="train+test", seed=1)
    assert (figures["candidates"], figures["trained"], figures["gallery"]) == (108, 64, "train+test")
    rows = [*SCORERS, *(f"{name}_memory" for name in MEMORY_SCORERS)]
    for group in ("unseen", "seen"):
        assert figures[group]["queries"] == 20 and set(rows) <= set(figures[group])
    assert all(figures["unseen"][row] == figures[row] for row in rows)  # the test split is new
    assert figures["seen"] != figures["unseen"]
    [written] = (copy / "evaluation").glob("retrieval-test-train+test-20-*.json")
    assert json.loads(written.read_text())["seen"]["vectors"] == figures["seen"]["vectors"]
    alone = evaluate_retrieval(shapes, copy, protocol="full", queries=20, rerank=5, gallery="test", seed=1)
    assert "seen" not in alone and alone["vectors"]["SumR"] >= figures["vectors"]["SumR"]  # fewer rivals


def test_the_verb_and_what_a_gallery_refuses(copy, shapes, tmp_path):
    line = ["evaluate", "retrieval", str(shapes), "--model", str(copy), "--queries", "10", "--gallery"]
    result = CliRunner().invoke(app, [*line, "train+test", "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 0 and "unseen: 10 queries of new products" in " ".join(result.output.split())
    assert json.loads((tmp_path / "out.json").read_text())["rerank"] == 20
    for wrong, options, message in (
        ("train", [], "join different splits by +, 'test' among them"),
        ("test+test", [], "join different splits"),
        ("train+test", ["--draws", "2"], "one draw"),
        ("train+test", ["--protocol", "101"], "goes with the protocol full"),
        ("train+test", ["--candidates", "x.json"], "cannot be combined with --candidates"),
    ):
        with pytest.raises(InputError) as error:
            CliRunner().invoke(app, [*line, wrong, *options], catch_exceptions=False)
        assert message in str(error.value)
