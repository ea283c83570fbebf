import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModel

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_ranker import fit_ranker
from kaleidobert.evaluation.retrieval import evaluate_retrieval
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForRetrieval, KaleidoBertProcessor
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.queries import QuerySampler
from kaleidobert.training.sampling import GroupedSampler
from kaleidobert.training.settings import RUN_SETTINGS, load_settings

pytestmark = pytest.mark.usefixtures("shared_cache")
FIGURES = {"contrastive", "ITM", "ITM_accuracy"}


def test_settings_are_those_of_the_run_with_a_lower_learning_rate(run):
    settings = finetune_settings("retrieval", run, ["training.batch_size=8"])
    assert settings.model["fusion_layer"] == 1 and settings.tokenizer.vocabulary == 120
    assert settings.training.learning_rate == 2e-4 and settings.training.subcategory_group == 32
    assert settings.training.batch_size == 8 and settings.training.seed == 5
    assert finetune_settings("retrieval", run, ["training.learning_rate=1e-5"]).training.learning_rate == 1e-5


def test_a_run_s_own_settings_of_fine_tuning(copy):
    """They come after the task's defaults and before those of the command."""
    settings = load_settings(str(copy / RUN_SETTINGS), ["finetuning.learning_rate=1e-5", "finetuning.seed=7"])
    settings.training.freeze_backbone = True
    settings.save(copy)
    found = finetune_settings("retrieval", copy, ["training.seed=8"])
    assert found.training.learning_rate == 1e-5 and found.training.subcategory_group == 32 and found.training.seed == 8
    assert not found.training.freeze_backbone  # end to end, as in the publication
    assert finetune_settings("category", copy).training.learning_rate == 1e-5


def test_only_a_new_head_learns_faster_than_the_rest(run, tmp_path):
    """Pre-training's rates of its trained parts do not exceed fine-tuning's own."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    settings = yaml.safe_load((copy / "settings.yaml").read_text())
    settings["training"] |= {"text_learning_rate": 5e-4, "backbone_learning_rate": 3e-4}
    (copy / "settings.yaml").write_text(yaml.safe_dump(settings))
    for task in ("retrieval", "captioning"):
        training = finetune_settings(task, copy).training
        assert training.text_learning_rate is training.backbone_learning_rate is None
    training = finetune_settings("category", copy).training
    assert training.backbone_learning_rate < training.text_learning_rate < training.learning_rate


def test_without_a_contrastive_objective_only_the_joint_model_is_trained(shapes, settings, history, tmp_path):
    """As published: ITM of random pairs, before fine-tuning and in it, at a constant rate."""
    published = ["objectives.weights={contrastive: 0, LM: 0}", "objectives.hard_negatives_from=1"]
    published += ["model.fusion_layer=0", "training.optimizer=adam", "training.schedule=constant"]
    published += ["training.patch_dropout=0", "training.freeze_backbone=true", "finetuning.subcategory_group=1"]
    pretrain(shapes, tmp_path / "run", settings(*published))
    tuned = finetune_settings("retrieval", tmp_path / "run", ["training.epochs=1", "training.joint_samples=16"])
    finetune("retrieval", shapes, tmp_path / "run", tmp_path / "tuned", tuned)
    seven = {"AMLM", "ITM", "RR", "JPS", "CP", "G2CM", "B2CM"}
    for folder, losses in (("run", seven), ("tuned", {"ITM"})):
        rows = [row for row in history(tmp_path / folder) if "loss" in row]
        assert {name for name in rows[-1] if name.isupper() or name == "contrastive"} >= losses
        assert "contrastive" not in rows[-1] and "LM" not in rows[-1]
        assert rows[-1]["loss"] == pytest.approx(sum(rows[-1][name] for name in losses), rel=1e-3)
    assert rows[-1]["learning_rate"] == pytest.approx(2e-4 * 4 / 20)  # still in its warm-up
    before, after = (KaleidoBertForRetrieval.from_pretrained(tmp_path / each).state_dict() for each in ("run", "tuned"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("backbone" in name for name in changed) and any("itm_head" in name for name in changed)
    assert not any("projection" in name and "patch" not in name for name in changed)  # of the embeddings
    figures = fit_ranker(shapes, tmp_path / "tuned", memory=tuned.objectives.trains_embeddings)
    assert set(figures) == {"without_memory"}
    assert figures["without_memory"]["lm_weight"] == 0 < figures["without_memory"]["itm_weight"]


def test_fine_tuning_end_to_end(run, shapes, history, tmp_path):
    out = tmp_path / "tuned"
    overrides = ["training.epochs=2", "training.subcategory_group=4", "training.learning_rate=3e-3"]
    figures = finetune("retrieval", shapes, run, out, finetune_settings("retrieval", run, overrides))
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "settings.yaml", "history.json", "logs"} <= names

    rows = history(out)
    training = [row for row in rows if "loss" in row]
    assert [row["step"] for row in training] == list(range(1, 9))
    for row in training:
        assert set(row) >= FIGURES
        assert row["loss"] == pytest.approx(row["contrastive"] + row["ITM"] + row["LM"], rel=1e-3)
    assert {f"eval_{name}" for name in FIGURES} <= set(figures)

    started = [row for row in history(run) if "loss" in row]
    assert training[0]["contrastive"] < started[0]["contrastive"]  # it starts from the pre-trained weights
    last = [row["contrastive"] for row in training]
    assert sum(last[-3:]) < sum(last[:3])
    tuned, pretrained = (KaleidoBertForRetrieval.from_pretrained(folder).state_dict() for folder in (out, run))
    assert any(not torch.equal(tuned[name], pretrained[name]) for name in tuned)
    assert KaleidoBertConfig.from_pretrained(out).architectures == ["KaleidoBertForRetrieval"]
    encoder = AutoModel.from_pretrained(out).state_dict()
    assert all(torch.equal(each, tuned[f"kaleidobert.{name}"]) for name, each in encoder.items())
    own, old = (KaleidoBertProcessor.from_pretrained(folder).tokenizer for folder in (out, run))
    assert own.get_vocab() == old.get_vocab()

    assert not (out / "ranking.json").exists()
    fit_ranker(shapes, out)
    assert evaluate_retrieval(shapes, out, queries=10)["vectors"]["SumR"] > 0
    with pytest.raises(InputError, match="there is a run already"):
        finetune("retrieval", shapes, run, out, finetune_settings("retrieval", run))
    # with the settings of the fine-tuned run itself
    longer = finetune_settings("retrieval", out, [*overrides, "training.epochs=3"])
    finetune("retrieval", shapes, run, out, longer, resume=True)
    assert json.loads((out / "history.json").read_text())[-1]["step"] == 12
    assert history(out)[: len(training)] == rows[: len(training)]


def test_batches_of_similar_photos(run, shapes, catalogue, history, tmp_path, monkeypatch):
    """Groups of four are more similar than chance, resuming keeps the order, and only fine-tuning for retrieval can."""
    seen: list[list[int]] = []
    plain = GroupedSampler.__iter__

    def recorded(self):
        draws = list(plain(self))
        seen.append([draw.product for draw in draws])
        return iter(draws)

    monkeypatch.setattr(GroupedSampler, "__iter__", recorded)
    overrides = ["training.epochs=1", "training.similar_group=4", "training.evaluate_every=2"]
    finetune("retrieval", shapes, run, tmp_path / "a", finetune_settings("retrieval", run, overrides))
    photos = catalogue.pixels[catalogue.first_view[:-1]].reshape(64, -1).astype(float)
    groups = np.array(seen[0]).reshape(-1, 4)
    within = np.mean([photos[group].std(axis=0).mean() for group in groups])
    shuffled = np.mean([photos[group].std(axis=0).mean() for group in np.arange(64).reshape(-1, 4)])
    assert sorted(seen[0]) == list(range(64)) and within < 0.9 * shuffled
    longer = finetune_settings("retrieval", run, [*overrides, "training.epochs=2"])
    finetune("retrieval", shapes, run, tmp_path / "a", longer, resume=True)
    finetune("retrieval", shapes, run, tmp_path / "b", longer)
    assert seen[-1] in seen[:-1] and history(tmp_path / "a")[-1]["step"] == 8
    assert finetune_settings("category", tmp_path / "a").training.similar_group == 1
    refused = finetune_settings("category", run, ["training.similar_group=4"])
    with pytest.raises(InputError, match="similar_group is for retrieval; category"):
        finetune("category", shapes, run, tmp_path / "c", refused)
    with pytest.raises(InputError, match="similar_group needs the embeddings of a trained run"):
        pretrain(shapes, tmp_path / "d", refused)


def test_only_a_run_can_be_fine_tuned(tmp_path):
    with pytest.raises(InputError, match="no settings.yaml there"):
        finetune_settings("retrieval", tmp_path)


def test_settings_that_the_pre_trained_run_fixes_cannot_be_changed(run):
    given = finetune_settings("category", run, ["model.inputs=image", "objectives.weights={LM: 0.5}"])
    assert given.model["inputs"] == "image" and given.objectives.weights == {"LM": 0.5}
    with pytest.raises(InputError, match="model.image_size: fixed by the run that is fine-tuned; only inputs can chan"):
        finetune_settings("category", run, ["model.image_size=48"])


def test_chosen_queries_are_kept_with_the_run(run, shapes, catalogue, tmp_path, monkeypatch):
    """A log that has grown does not change a run that is resumed."""
    used = []
    plain = QuerySampler.__init__
    monkeypatch.setattr(
        QuerySampler, "__init__", lambda self, *given, **named: [used.append(named), plain(self, *given, **named)][1]
    )
    chosen = {catalogue.ids[0]: ["red"], "elsewhere": ["blue"]}
    settings = finetune_settings("retrieval", run, ["training.epochs=1", "training.evaluate_every=2"])
    figures = finetune("retrieval", shapes, run, tmp_path / "a", settings, chosen_queries=chosen)
    assert figures["products_chosen"] == 1
    longer = finetune_settings("retrieval", run, ["training.epochs=2", "training.evaluate_every=2"])
    finetune("retrieval", shapes, run, tmp_path / "a", longer, resume=True, chosen_queries={catalogue.ids[1]: ["hat"]})
    assert [named["chosen"] for named in used if named.get("chosen")] == [chosen, chosen]
