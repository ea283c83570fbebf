"""Retrieval measured on the tiny run: the figures' keys, the protocols, and a second route to the same numbers."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.pair_scores import best, encode, ranked_by, score
from kaleidobert.evaluation.protocols import candidate_table, choose_queries, load_candidates
from kaleidobert.evaluation.retrieval import MEMORY_SCORERS, SCORERS, evaluate_retrieval
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.scoring.memory import MEMORY_FILE
from kaleidobert.scoring.ranking import Ranking
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.collators import PairCollator

pytestmark = pytest.mark.usefixtures("shared_cache")
WAYS = ("TIR", "ITR")
ROWS = (*SCORERS, *(f"{name}_memory" for name in MEMORY_SCORERS))
NO_NEIGHBOURS = {"neighbour_word_weight": 0.0, "neighbour_pmi_weight": 0.0}


def change(folder, **values: float) -> None:
    """Fill weights of a saved model, by a part of their names."""
    model = KaleidoBertForRetrieval.from_pretrained(folder)
    for name, parameter in model.named_parameters():
        for part, value in values.items():
            if part.replace("__", ".") in name:
                parameter.data.fill_(value)
    model.save_pretrained(folder)


def weigh(folder, **weights: Any) -> None:
    """Change weights of both fits of a run."""
    ranking = Ranking.load(folder)
    Ranking(replace(ranking.without_memory, **weights), replace(ranking.with_memory, **weights)).save(folder)


@pytest.mark.parametrize("protocol, asked", [("101", 44), ("full", 12)])
def test_figures(copy, shapes, protocol, asked):
    figures = evaluate_retrieval(shapes, copy, protocol=protocol, queries=None if protocol == "101" else 12, seed=3)
    assert (figures["protocol"], figures["split"], figures["queries"], figures["seed"]) == (protocol, "test", asked, 3)
    for name in ROWS:
        recalls = [figures[name][way][f"R@{k}"] for way in WAYS for k in (1, 5, 10)]
        assert set(figures[name]) == {"TIR", "ITR", "SumR"}
        assert figures[name]["SumR"] == pytest.approx(sum(recalls))
        assert recalls[:3] == sorted(recalls[:3]) and recalls[3:] == sorted(recalls[3:])
        assert all(0 <= recall <= 100 for recall in recalls)
    saved = json.loads((copy / "evaluation" / f"candidates-test-{protocol}-{asked}-seed3.json").read_text())
    assert len(saved) == asked and max(map(len, saved)) == figures["candidates"] == 44
    assert all(len(set(row)) == len(row) for row in saved)
    assert json.dumps(figures)


def test_evaluating_again_gives_the_same(copy, shapes):
    assert evaluate_retrieval(shapes, copy, queries=10) == evaluate_retrieval(shapes, copy, queries=10)
    assert evaluate_retrieval(shapes, copy, queries=10, seed=1) != evaluate_retrieval(shapes, copy, queries=10)


def test_full_ranks_among_all_products_with_another_text(test_split):
    table = candidate_table(test_split, np.array([0, 30]), "full", seed=0)
    for row, query in zip(table.tolist(), (0, 30), strict=True):
        others = [index for index in range(44) if test_split.texts[index] != test_split.texts[query]]
        assert row[0] == query
        assert sorted(index for index in row[1:] if index >= 0) == others
    assert len(others) == 43 and (table[0] < 0).sum() == 1  # the 41st product shares the first one's text


def test_101_draws_from_the_sub_category_first(test_split):
    table = candidate_table(test_split, np.arange(44), "101", seed=0)
    for row in table.tolist():
        kinds = [test_split.subcategories[index] for index in row if index >= 0]
        near = kinds.count(kinds[0])
        assert kinds[:near] == [kinds[0]] * near and near >= 5


@pytest.mark.parametrize("remembers", [False, True])
def test_the_numbers_by_a_second_route(run, test_split, remembers):
    """Similarity and joint score of each pair computed one by one, without batches and padding."""
    whole = KaleidoBertScorer.from_pretrained(run)
    weighed = whole.with_weights(replace(whole.weights, memory_weight=0.6, hubness_weight=0.5))
    scorer = weighed if remembers else whole.without_memory()
    model = scorer.model
    assert not model.training
    candidates = np.array([[4, 9, 33], [17, 2, -1]])
    ways = score(scorer, encode(scorer, test_split), candidates)
    pairs = PairCollator(test_split, scorer.processor.tokenizer, seed=0, augmented=False)
    for texts_vary, way in enumerate(ways):
        assert way.missing.tolist() == [[False, False, False], [False, False, True]]
        for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
            query, other = candidates[row, 0], candidates[row, column]
            text, photo = (other, query) if texts_vary else (query, other)
            words, look = pairs([int(text)]), pairs([int(photo)])
            with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16):
                image: Any = model.kaleidobert.encode_image(look["pixel_values"].to(model.device))
                mask = words["attention_mask"].to(model.device)
                said: Any = model.kaleidobert.encode_text(words["input_ids"].to(model.device), mask)
                joint = scorer.joint_scores(words["input_ids"].to(model.device), mask, image.patch_states)
                vectors = (image.image_embeds * said.text_embeds).sum()
            if remembers:
                with torch.no_grad():  # at full precision, or other neighbours are nearest
                    photo_vector = scorer.enhance_images(image.image_embeds)
                    text_vector = scorer.enhance_texts(said.text_embeds)
                    hubness = scorer.image_hubness(photo_vector) + scorer.text_hubness(text_vector)
                    vectors = (photo_vector * text_vector).sum() - scorer.weights.hubness_weight * hubness
            assert way.vectors[row, column].item() == pytest.approx(vectors.item(), abs=0.03 if remembers else 0.02)
            assert way.joint[row, column].item() == pytest.approx(joint.item(), abs=0.02)
    assert not torch.equal(ways[0].vectors, ways[1].vectors)


def test_a_model_that_says_the_same_of_everything_gets_nothing(copy, shapes):
    change(copy, _projection__weight=0.0, itm_head__score__weight=0.0, word_embeddings=0.0)  # the decoder, too
    weigh(copy, prior_weight=1.0, **NO_NEIGHBOURS)  # what is remembered tells texts apart
    figures = evaluate_retrieval(shapes, copy, queries=12)
    for name in ROWS:
        assert figures[name]["SumR"] == 0, name


def test_joint_weight_zero_ranks_as_the_vectors_do(copy, shapes):
    weigh(copy, joint_weight={"TIR": 0.0, "ITR": 0.0})
    figures = evaluate_retrieval(shapes, copy, queries=12)
    for fit, ending in (("without_memory", ""), ("with_memory", "_memory")):
        assert figures["weights"][fit]["joint_weight"] == {"TIR": 0.0, "ITR": 0.0}
        assert figures["combined" + ending] == figures["vectors" + ending] != figures["joint" + ending]


def test_a_row_without_the_memory_in_its_name_knows_nothing_of_it(copy, shapes):
    """Neither its contents nor whether there is one; with another catalogue's, only its own rows change."""
    figures = evaluate_retrieval(shapes, copy, queries=20)
    memory = load_file(copy / MEMORY_FILE)
    turned = {
        name: each.roll(1, 0) if name in ("pairs.texts", "layouts.tokens") else each for name, each in memory.items()
    }
    save_file(turned, copy / MEMORY_FILE, metadata={"padding": "0"})
    other = evaluate_retrieval(shapes, copy, queries=20)
    (copy / MEMORY_FILE).unlink()
    without = evaluate_retrieval(shapes, copy, queries=20)
    for name in SCORERS:
        assert figures[name] == other[name] == without[name]
    assert any(figures[f"{name}_memory"] != other[f"{name}_memory"] for name in MEMORY_SCORERS)
    assert not set(ROWS[len(SCORERS) :]) & set(without) and set(without["weights"]) == {"without_memory"}


def test_queries_are_drawn_by_seed():
    assert choose_queries(10, None, 0).tolist() == choose_queries(10, 99, 0).tolist() == list(range(10))
    drawn = choose_queries(1000, 50, 0)
    assert len(set(drawn)) == 50 and drawn.tolist() == sorted(drawn)
    assert drawn.tolist() == choose_queries(1000, 50, 0).tolist() != choose_queries(1000, 50, 1).tolist()


def test_what_cannot_be_evaluated(run, shapes, tmp_path, test_split):
    with pytest.raises(InputError, match="no protocol '102'; use 101 or full"):
        evaluate_retrieval(shapes, run, protocol="102")
    with pytest.raises(InputError, match="no model in"):
        evaluate_retrieval(shapes, tmp_path)
    with pytest.raises(InputError, match="no split 'tset'"):
        evaluate_retrieval(shapes, run, split="tset")
    with pytest.raises(InputError, match="nothing to rank"):
        candidate_table(test_split.head(1), np.array([0]), "101", seed=0)


def test_draws_are_averaged_and_their_spread_told(copy, shapes):
    weigh(copy, **NO_NEIGHBOURS)  # with what is remembered every draw is perfect
    alone = [evaluate_retrieval(shapes, copy, queries=20, seed=seed) for seed in (4, 5, 6)]
    together = evaluate_retrieval(shapes, copy, queries=20, seed=4, draws=3)
    for name in ("vectors", "combined", "vectors_memory", "combined_memory"):
        sums = [figures[name]["SumR"] for figures in alone]
        assert together[name]["SumR"] == pytest.approx(np.mean(sums))
        assert together["spread"][name]["SumR"] == pytest.approx(np.std(sums, ddof=1)) != 0
        low, high = together["intervals"][name]["TIR"]["R@5"]
        assert low <= together[name]["TIR"]["R@5"] <= high and high - low > 13  # of 20 queries, not of 60
    assert "spread" not in alone[0]


def test_candidates_that_were_written_are_read_back(copy, shapes):
    drawn = evaluate_retrieval(shapes, copy, protocol="full", queries=9, seed=2)
    written = copy / "evaluation" / "candidates-test-full-9-seed2.json"
    listed = evaluate_retrieval(shapes, copy, candidates=written)
    assert listed["protocol"] == "list" and listed["queries"] == 9 and listed["list"] == written.name
    assert all(listed[name] == drawn[name] for name in (*ROWS, "intervals"))


@pytest.mark.parametrize(
    "content, message",
    [
        ('[["2-0", "2-1"], ["2-3", "nobody"]]', "1 of its ids are not in the evaluated split, among them 'nobody'"),
        ('[["2-0"]]', "list 1 has no candidate beside the query"),
        ('[["2-1", "2-2"], ["2-0", "2-1", "2-0"]]', "list 2 has '2-0' twice"),
        ("{}", "no lists of candidates"),
        ("[", "cannot be read as JSON"),
    ],
)
def test_lists_that_cannot_be_used(test_split, tmp_path, content, message):
    (tmp_path / "lists.json").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_candidates(tmp_path / "lists.json", test_split)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        load_candidates(tmp_path / "absent.json", test_split)


def test_short_lists_are_filled_up_and_repeated_ids_refused(test_split, tmp_path):
    (tmp_path / "lists.json").write_text('[["2-5", "2-1"], ["2-3", "2-0", "2-7"]]')
    assert load_candidates(tmp_path / "lists.json", test_split).tolist() == [[5, 1, -1], [3, 0, 7]]
    doubled = replace(test_split, ids=["2-5", *test_split.ids[1:]])
    (tmp_path / "lists.json").write_text('[["2-5", "2-1"]]')
    with pytest.raises(InputError, match="several products with the id '2-5'"):
        load_candidates(tmp_path / "lists.json", doubled)


@torch.no_grad()
def test_reranking_orders_the_head_and_leaves_the_rest(run, test_split):
    """The rule of `search.ranker`, written out for one row at a time."""
    scorer = KaleidoBertScorer.from_pretrained(run)
    scorer = scorer.with_weights(replace(scorer.weights, joint_weight={"TIR": 2.0, "ITR": 0.5}))
    encoded = encode(scorer, test_split)
    table = candidate_table(test_split, np.arange(0, 44, 4), "full", seed=0)
    for few, all_read in zip(score(scorer, encoded, table, rerank=7), score(scorer, encoded, table), strict=True):
        assert few.head.sum(dim=1).tolist() == [7] * len(table)
        assert torch.allclose(few.joint, all_read.joint * few.head, atol=0.05)
        logits = torch.randn(few.joint.shape, generator=torch.Generator().manual_seed(0))  # the run's are all alike
        few, all_read = replace(few, joint=logits * few.head), replace(all_read, joint=logits)
        given, joint = ranked_by("combined", scorer, few), ranked_by("joint", scorer, few)
        for row in range(len(table)):
            places = [column for column in range(table.shape[1]) if table[row, column] >= 0]
            # where vectors tie, as equal texts' do, the later column is read first: the partner's is the first
            by_vectors = sorted(places[::-1], key=lambda column: -few.vectors[row, column].item())
            combined = scorer.combine(all_read.vectors[row], all_read.joint[row], few.direction).tolist()
            head = sorted(by_vectors[:7], key=lambda column: -combined[column])
            order = given[row].argsort(descending=True, stable=True).tolist()
            rest = sorted(sorted(by_vectors[7:]), key=lambda column: -few.vectors[row, column].item())
            assert order[: len(places)] == [*head, *rest]
            highest = max(all_read.joint[row, column].item() for column in by_vectors[:7])
            assert all_read.joint[row, joint[row].argmax()].item() == highest
    everything = score(scorer, encoded, table, rerank=500)
    for some, other in zip(everything, score(scorer, encoded, table), strict=True):
        assert torch.equal(ranked_by("combined", scorer, some), ranked_by("combined", scorer, other))


def test_among_equals_the_partner_is_the_last_to_be_read():
    assert best(torch.tensor([[0.5, 0.5, 0.1, 0.5], [0.9, 0.9, 1.0, 0.2]]), 2).tolist() == [
        [False, True, False, True],
        [False, True, True, False],
    ]


def test_the_verb_s_options(copy, shapes, tmp_path):
    line = ["evaluate", "retrieval", str(shapes), "--model", str(copy), "--queries", "10"]
    result = CliRunner().invoke(app, [*line, "--draws", "2", "--rerank", "5", "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 0 and "mean of 2 draws" in " ".join(result.output.split())
    assert json.loads((tmp_path / "out.json").read_text())["rerank"] == 5
    with pytest.raises(InputError, match="--queries cannot be combined with --candidates"):
        CliRunner().invoke(app, [*line, "--candidates", "lists.json"], catch_exceptions=False)
    with pytest.raises(InputError, match="--rerank goes with retrieval and kagl, not with category"):
        CliRunner().invoke(app, ["evaluate", "category", *line[2:5], "--rerank", "5"], catch_exceptions=False)
