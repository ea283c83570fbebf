"""Marqo's KAGL tasks on a tiny ground truth in their format, by a run and by a store."""

import json

import pytest
import torch
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.kagl import (
    TASKS,
    TITLES,
    Catalogue,
    evaluate_kagl,
    kagl_figures,
    load_ground_truth,
    read_catalogue,
)
from kaleidobert.evaluation.published import KAGL, kagl_tables
from kaleidobert.evaluation.report import report
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import prepare

pytestmark = pytest.mark.usefixtures("shared_cache")
CATALOGUE = Catalogue(["1", "2", "3", "4"], ["red", "blue", "red", "green"], ["train", "train", "test", "test"])
TRUTH = {
    "text to image": {"red": {"1", "3"}, "green": {"4"}, "gone": {"9"}},
    "colour": {"warm": {"1", "3"}, "cold": {"2", "4", "9"}},
}


def in_order(queries, gone):
    """A ranker that answers everything with the products in their order."""
    return [[each for each in "1234" if each not in gone] for _ in queries]


def test_queries_of_which_nothing_is_at_hand_are_left_out_and_groups_told_apart():
    figures = kagl_figures(TRUTH, CATALOGUE, {"vectors": in_order})
    assert figures["queries_left_out"] == {"text to image": 1, "colour": 0, TITLES: 0}
    assert (figures["products"], figures["trained"]) == (4, 2)
    found = figures["rows"]["vectors"]
    text = found["text to image"]
    assert {group: each["queries"] for group, each in text.items()} == {"all": 2, "unseen": 1, "seen": 1}
    assert text["seen"]["MRR"] == 1.0 and text["seen"]["R@1"] == 0.5  # one of two reds
    assert text["unseen"]["MRR"] == 0.25 and text["all"]["MRR"] == pytest.approx(0.625)
    colour = found["colour"]
    assert colour["all"]["R@1"] == 0.25 and colour["all"]["P@10"] == pytest.approx(0.2)
    assert colour["unseen"] == {"queries": 2, "R@1": 0.5, "R@10": 1.0, "P@1": 0.5, "P@10": 0.1, "MRR": 0.75}
    assert colour["seen"] == colour["unseen"]  # 1 and 2, as 3 and 4
    titles = found[TITLES]
    assert {group: each["queries"] for group, each in titles.items()} == {"all": 2, "unseen": 1, "seen": 1}


def test_documents_with_titles_are_not_asked_for_titles():
    rows = kagl_figures(TRUTH, CATALOGUE, {"vectors + titles": in_order})["rows"]
    assert set(rows["vectors + titles"]) == {"colour"}


@pytest.fixture
def ground_truth(shapes, tmp_path):
    """The shapes' titles, sub-categories and a colour, with one product that nobody has."""
    catalogue = read_catalogue(shapes)
    titles, kinds = {}, {}
    for product, title in zip(catalogue.ids, catalogue.titles, strict=True):
        titles.setdefault(title, {})[product] = 1
        kinds.setdefault(title.split()[0], {})[product] = 1
    folder = tmp_path / "kagl"
    folder.mkdir()
    (folder / TASKS["text to image"]).write_text(json.dumps(dict(list(titles.items())[:30]) | {"x": {"99": 1}}))
    (folder / TASKS["colour"]).write_text(json.dumps(kinds))
    return folder


def test_a_run_ranks_all_splits_by_its_vectors(copy, shapes, ground_truth):
    """Recall by a second route: cosines of the embeddings, without and with the memory."""
    figures = evaluate_kagl(shapes, ground_truth, copy)
    assert set(figures["rows"]) == {"vectors", "vectors + titles", "vectors_memory"}
    assert figures["queries_left_out"]["text to image"] == 1 and figures["trained"] == 64
    assert figures["data"] == figures["trained_on"] == shapes.name
    scorer = KaleidoBertScorer.from_pretrained(copy)
    truth = {query: ids for query, ids in load_ground_truth(ground_truth)["text to image"].items() if query != "x"}
    for row, fit in (("vectors", scorer.without_memory()), ("vectors_memory", scorer)):
        ids, embeds, hubness = [], [], []
        for split in ("train", "validation", "test"):
            part = prepare(shapes, split, scorer.processor.image_processor)
            pixels = torch.from_numpy(part.pixels[part.first_view[:-1]].copy()).permute(0, 3, 1, 2) / 255
            batch = fit.encode_pixels(pixels, part.ids)
            ids += part.ids
            embeds.append(batch.embeds)
            hubness.append(batch.hubness)
        texts = fit.encode_texts(list(truth))
        cosine = texts.embeds @ torch.cat(embeds).T
        scores = fit.similarity(cosine, texts.hubness[:, None] + torch.cat(hubness))
        ranked = [[ids[column] for column in line] for line in scores.argsort(dim=1, descending=True).tolist()]
        shares = [len(set(line[:10]) & right) / len(right) for line, right in zip(ranked, truth.values(), strict=True)]
        expected = sum(shares) / len(shares)
        assert figures["rows"][row]["text to image"]["all"]["R@10"] == pytest.approx(expected, abs=0.07)  # bfloat16
    assert json.loads((copy / "evaluation" / f"kagl-{shapes.name}.json").read_text()) == figures
    page = report([copy], copy / "page.html")[0].read_text()
    assert "KAGL, text to image" in page and "zero-shot, 44,434 products" in page and "trained on this shop" in page


def test_published_rows_stand_above_those_of_a_run_trained_elsewhere(copy, shapes, ground_truth):
    figures = evaluate_kagl(shapes, ground_truth, copy) | {"trained_on": "another"}
    tables = {table.caption: table for table in kagl_tables(figures)}
    table = tables["KAGL, text to image, from 0 to 1"]
    published, own = table.groups.values()
    assert published[-1].heading == "Marqo-FashionSigLIP"
    assert published[-1].cells == [None, "0.179", "0.489", None, None, "0.293"]
    assert {row.heading for row in own} >= {"vectors, all", "vectors, seen", "vectors + memory, seen"}
    assert any(heading.startswith("trained on another, 140 products, 64 of them") for heading in table.groups)
    assert set(KAGL) == set(TASKS)


def test_the_verb_on_a_run_and_on_a_store(copy, shapes, ground_truth, tmp_path):
    kagl = ["evaluate", "kagl", str(shapes)]
    line = [*kagl, str(ground_truth), "--model", str(copy), "--rerank", "5", "--json", str(tmp_path / "run.json")]
    result = CliRunner().invoke(app, line, catch_exceptions=False)
    assert result.exit_code == 0 and "left out 1 queries" in result.output
    ranked = json.loads((tmp_path / "run.json").read_text())["rows"]
    assert {"vectors", "combined", "combined_memory"} <= set(ranked)
    store = str(tmp_path / "store")
    for split in ("train", "test"):
        index = ["index", str(shapes), "--model", str(copy), "--store", store, "--split", split]
        CliRunner().invoke(app, index, catch_exceptions=False)
    line = [*kagl, str(ground_truth), "--store", store, "--json", str(tmp_path / "store.json")]
    result = CliRunner().invoke(app, line, catch_exceptions=False)
    assert result.exit_code == 0
    figures = json.loads((tmp_path / "store.json").read_text())
    assert (figures["products"], figures["trained"], len(figures["rows"])) == (108, 64, 1)
    [row] = figures["rows"].values()
    assert 0 < row["text to image"]["all"]["R@10"] <= 1
    for wrong, message in (
        ([*kagl, "--model", str(copy)], "kagl needs the folder of its ground truth"),
        ([*kagl, str(ground_truth)], "give --model or --store"),
        ([*kagl, str(tmp_path), "--model", str(copy)], "no ground truth there"),
        ([*kagl, str(ground_truth), "--model", str(copy), "--beams", "2"], "--beams goes with captioning"),
        (
            ["evaluate", "retrieval", str(shapes), str(ground_truth), "--model", str(copy)],
            "GROUND_TRUTH goes with kagl",
        ),
        (["evaluate", "retrieval", str(shapes)], "no --model"),
    ):
        with pytest.raises(InputError) as error:
            CliRunner().invoke(app, wrong, catch_exceptions=False)
        assert message in str(error.value)


@pytest.mark.parametrize("content", ["[", "[1]", '{"red": [1]}', '{"red": {"1": "x"}}'])
def test_a_damaged_ground_truth_is_one_line(tmp_path, content):
    (tmp_path / TASKS["colour"]).write_text(content)
    with pytest.raises(InputError, match="no ground truth .*; it must be") as error:
        load_ground_truth(tmp_path)
    assert "\n" not in str(error.value)


def test_another_catalogue_is_refused():
    with pytest.raises(InputError, match="none of the 4 products is in the ground truth"):
        kagl_figures({"colour": {"red": {"x"}}}, CATALOGUE, {"vectors": in_order})
