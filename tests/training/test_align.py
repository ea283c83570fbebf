"""A captioner trained for a few steps on the drawn catalogue, and the pairs that it writes."""

import json

import numpy as np
import pytest
import torch

from kaleidobert.alignment.masking import plan_masks
from kaleidobert.alignment.matching import content_words
from kaleidobert.alignment.pair_store import Alignment, RunAlignment
from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.pretrained import packaged_weights
from kaleidobert.training.align import align, aligner, load_generator
from kaleidobert.training.dataset import prepare
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.train_captioner import align_settings
from kaleidobert.vision.efficientnet_lite import convert_weights

pytestmark = pytest.mark.usefixtures("shared_cache")

TINY = ["captioner.embedding_size=16", "captioner.hidden_size=24", "captioner.attention_size=16", "vocabulary=120"]
TINY += ["max_length=16", "batch_size=16", "epochs=2", "evaluate_every=3", "bf16=false", "least_lift=0", "beams=2"]
BACKBONE = "{layer_type: basic, embedding_size: 8, hidden_sizes: [16], depths: [1], out_features: [stage1]}"


def tiny(*overrides):
    return align_settings([*TINY, f"captioner.backbone_config={BACKBONE}", *overrides])


@pytest.fixture(scope="session")
def aligned(shapes, prepared, settings, tmp_path_factory):
    """An alignment folder after eight steps; what `align` returned is in ``returned.json``."""
    folder = tmp_path_factory.mktemp("aligned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        figures = align(shapes, folder, settings(), tiny())
    (folder / "returned.json").write_text(json.dumps(figures))
    return folder


def test_the_folder_and_its_figures(aligned, shapes):
    names = {path.name for path in aligned.iterdir()} - {"returned.json"}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"}
    assert names >= {"align.yaml", "history.json", "logs", "pairs.parquet"} and "checkpoints" not in names
    figures, alignment = json.loads((aligned / "returned.json").read_text()), Alignment.load(aligned)
    products = list(read_products(shapes))
    assert figures["steps"] == 8 and 0 < figures["validation_loss"] < 10
    assert figures["products"] == len(products) == 140
    assert figures["products_with_pairs"] + figures["products_without_pairs"] == 140
    assert figures["pairs"] == len(alignment) and figures["source"] == "teacher"
    assert figures["words"] == sum(len(content_words(each.text)) * len(each.images) for each in products)
    with_pairs = {product.id for product in products for view in (0, 1) if alignment.stored(product.id, view)}
    assert len(with_pairs) == figures["products_with_pairs"] > 0
    rows = [row for row in json.loads((aligned / "history.json").read_text()) if "eval_loss" in row]
    assert [row["step"] for row in rows] == [3, 6, 8, 8]  # the last step is validated, too
    assert all({"eval_cross_entropy", "eval_word_evidence", "eval_doubly_stochastic"} <= set(row) for row in rows)
    assert figures["validation_loss"] == min(row["eval_loss"] for row in rows)  # the best is kept


def test_pairs_fit_their_product_and_the_quota_of_masking(aligned, shapes, tokenizer):
    alignment, views = Alignment.load(aligned), 0
    for product in read_products(shapes, "train"):
        words = {(word.start, word.end, word.text) for word in content_words(product.text)}
        for view in range(len(product.images)):
            stored = alignment.stored(product.id, view)
            views += bool(stored)
            assert {(each.start, each.end, each.word) for each in stored} <= words
            assert len({(each.start, each.level) for each in stored}) == len(stored)  # one for each word and level
            assert all(each.level in (3, 4, 5) and each.patch < each.level**2 for each in stored)
            encoded = tokenizer([product.text])
            pairs = alignment.pairs(product.id, encoded, view=view)
            choice = plan_masks(encoded.word_ids(0), PUBLISHED, np.random.default_rng(0), pairs)
            assert [choice.patches[5:14].sum(), choice.patches[14:30].sum(), choice.patches[30:].sum()] == [1, 2, 3]
    assert views == 72  # every eighth has a second view, with pairs of its own


def test_the_other_source_reuses_the_captioner(aligned, shapes, settings, tmp_path):
    folder = tmp_path / "again"
    folder.mkdir()
    for path in aligned.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    before = Alignment.load(aligned).summary
    figures = align(shapes, folder, settings(), tiny("levels=[5]", "least_lift=0"), source="caption")
    after = Alignment.load(folder)
    assert "steps" not in figures and after.summary.captioner == before.captioner
    assert (after.summary.source, after.summary.levels) == ("caption", [5])
    assert set(after.columns["level"]) <= {5}
    assert load_generator(folder).grids == (5,) and load_generator(folder).least_lift == 0
    with pytest.raises(InputError, match="--max-minutes"):
        align(shapes, folder, settings(), tiny(), max_minutes=1)
    with pytest.raises(InputError, match="prepared in another way"):
        align(shapes, folder, settings("model.image_size=48"), tiny())


def test_a_folder_of_an_earlier_version_is_read(aligned, tmp_path):
    for path in aligned.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = tmp_path / "align.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("lstm_samples: 24", "told: 24").replace("lstm_from: 0.4", "told_from: 0.4"))
    assert text.count("lstm_") == 2 and "lstm_" not in settings.read_text()
    generator = load_generator(tmp_path)
    assert generator.captioner.fingerprint() == Alignment.load(tmp_path).summary.captioner
    settings.write_text(settings.read_text() + "speed: 3\n")
    with pytest.raises(InputError, match="align.yaml: speed: Extra inputs are not permitted"):
        load_generator(tmp_path)


def test_training_stops_where_validation_no_longer_improves(shapes, settings, tmp_path):
    figures = align(
        shapes, tmp_path / "align", settings(), tiny("epochs=9", "learning_rate=1e-12", "patience=2", "lstm_from=0")
    )
    assert figures["steps"] == 3 * 3  # the first validation, and two that are no better


def test_bad_settings_are_refused(shapes, settings, tmp_path):
    with pytest.raises(InputError, match="--set speed"):
        align_settings(["speed=3"])
    with pytest.raises(InputError, match="--set epochs"):
        align_settings(["epochs=-1"])
    with pytest.raises(InputError, match="captioner.heads: no such setting"):
        align(shapes, tmp_path / "a", settings(), tiny("captioner.heads=3"))
    with pytest.raises(InputError, match="batch of 500"):
        align(shapes, tmp_path / "a", settings(), tiny("batch_size=500"))
    with pytest.raises(InputError, match="no alignment source"):
        align(shapes, tmp_path / "a", settings(), tiny(), source="human")
    assert not (tmp_path / "a" / "model.safetensors").exists()
    with pytest.raises(InputError, match="no captioner in"):
        load_generator(tmp_path)


def test_pairs_found_on_demand_are_those_of_the_file(aligned, shapes, tokenizer):
    """And each view is aligned once, however often masking needs it."""
    processor = KaleidoBertImageProcessor.from_pretrained(aligned)
    catalogue = prepare(shapes, "train", processor)
    calls = []
    find = aligner(load_generator(aligned), catalogue)
    on_demand, stored = RunAlignment(lambda views: calls.append(views) or find(views)), Alignment.load(aligned)
    wanted = [(product, 0) for product in catalogue.ids[:6]]
    on_demand.find(wanted)
    encoded = tokenizer(catalogue.texts[:8])
    for row, product in enumerate(catalogue.ids[:8]):
        found = on_demand.pairs(product, encoded, row, mirrored=row % 2 == 1)
        assert found == stored.pairs(product, encoded, row, mirrored=row % 2 == 1)
    assert sum(len(stored.pairs(product, encoded, row)) for row, product in enumerate(catalogue.ids[:8])) > 8
    assert [each for views in calls for each in views] == [(product, 0) for product in catalogue.ids[:8]]


def test_a_run_makes_its_own_pairs(shapes, settings, tmp_path, history, capsys):
    """In its first minutes and in its folder; a resumed run uses the same captioner."""
    own = settings("training.align_minutes=0.02", "training.joint_from=0", "model.image_size=64")
    figures = pretrain(shapes, tmp_path / "run", own, max_minutes=2)
    assert "0.02 minutes to find which patches the words describe; pre-training follows" in capsys.readouterr().err
    captioner = tmp_path / "run" / "alignment" / "model.safetensors"
    assert captioner.is_file() and figures["eval_loss"] > 0
    guided = [row["guided"] for row in history(tmp_path / "run") if "guided" in row]
    assert guided and all(0 <= share <= 1 for share in guided)


def test_a_captioner_with_a_trained_backbone_keeps_it(shapes, settings, tmp_path):
    photos = settings("model.image_size=128")
    chosen = tiny("image=efficientnet-lite0", "captioner.backbone_config={}", "epochs=1")
    chosen.captioner.pop("backbone_config")
    align(shapes, tmp_path / "align", photos, chosen)
    captioner = load_generator(tmp_path / "align").captioner
    assert captioner.config.standardised and captioner.backbone.out_features == ["stage5"]
    published = torch.load(packaged_weights("efficientnet-lite0"), weights_only=True)
    expected = convert_weights(published, captioner.backbone.config)
    own = captioner.backbone.state_dict()
    assert own and all(torch.equal(own[name], expected[name]) for name in own)
