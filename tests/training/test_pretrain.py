"""A few steps of real pre-training, from photos in parquet to a run folder."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForPreTraining, AutoTokenizer, BertConfig, BertModel, Dinov2Config, Dinov2Model

from kaleidobert.alignment.masking import TokenMasking
from kaleidobert.alignment.pair_store import AlignmentSummary, AlignmentWriter
from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertProcessor
from kaleidobert.model.loading import load_model
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.training import pretraining_collator
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.sampling import GroupedSampler
from kaleidobert.training.settings import RUN_SETTINGS, load_settings
from kaleidobert.training.trainer import KaleidoBertTrainer

pytestmark = pytest.mark.usefixtures("shared_cache")

LOSSES = tuple(
    name for name in pretraining_losses() if name not in ("SPM", "PMI")
)  # not in the published levels; of candidates
TEXT = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
IMAGE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8, "image_size": 32}
FIGURES = {*LOSSES, "ITM_accuracy", "RR_accuracy", "JPS_accuracy", "CP_accuracy"}


def steps(rows: list[dict], key: str) -> list[int]:
    return [row["step"] for row in rows if key in row]


def test_the_run_folder(run, settings):
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {"processor_config.json", "settings.yaml", "history.json", "logs", "checkpoints"} <= names
    assert load_settings(str(run / RUN_SETTINGS)) == settings()
    model = AutoModelForPreTraining.from_pretrained(run)
    processor = KaleidoBertProcessor.from_pretrained(run)
    assert model.config.encoder_config.vocab_size == len(processor.tokenizer)
    assert model.config.fusion_layer == 1 and model.objectives == Objectives()
    assert {"ranking.json", "memory.safetensors"} <= names  # of the fit
    assert processor.image_processor.image_size == model.config.image_size == 40
    assert all(torch.isfinite(tensor).all() for tensor in load_file(run / "model.safetensors").values())


def test_history_has_every_component(run, history):
    rows = history(run)
    assert steps(rows, "loss") == list(range(1, 9))
    assert steps(rows, "eval_loss") == [3, 6, 8]
    for row in rows:
        if "loss" in row:
            assert set(row) >= FIGURES
            assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES), rel=1e-3)
        if "eval_loss" in row:
            assert set(row) >= {f"eval_{name}" for name in FIGURES}
    returned = json.loads((run / "returned.json").read_text())
    last = [row for row in rows if "eval_loss" in row][-1]
    assert returned["eval_loss"] == last["eval_loss"]


def test_the_rate_warms_up_and_ends_near_zero(run, history):
    rates = [row["learning_rate"] for row in history(run) if "loss" in row]
    assert rates[0] == pytest.approx(1.5e-3)  # half of it: the first of two warm-up steps
    assert max(rates) == rates[1] and rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.2 * max(rates)


def test_tensorboard_has_every_component(run):
    events = EventAccumulator(str(run / "logs")).Reload()
    tags = set(events.Tags()["scalars"])
    assert {f"train/{name}" for name in FIGURES} <= tags
    assert {f"eval/{name}" for name in FIGURES} <= tags
    assert [event.step for event in events.Scalars("train/AMLM")] == list(range(1, 9))


def test_the_weights_moved_and_so_did_the_batch_statistics(run):
    first, last = (load_file(run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in (6, 8))
    moved = {name for name in first if not torch.equal(first[name], last[name])}
    assert set(first) - moved <= {"negatives", "match_accuracy"}
    assert any("running_mean" in name for name in moved)


def test_the_same_seed_gives_the_same_history_and_weights(run, shapes, settings, history, tmp_path, monkeypatch):
    epochs: list[int] = []
    plain = GroupedSampler.__iter__

    def recorded(self):
        epochs.append(self.epoch)
        return plain(self)

    monkeypatch.setattr(GroupedSampler, "__iter__", recorded)
    pretrain(shapes, tmp_path / "again", settings())
    assert history(tmp_path / "again") == history(run)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert not (tmp_path / "again" / "ranking.json").exists()  # training does not fit
    assert epochs == [0, 1]  # each in an order of its own


def test_workers_make_the_same_batches(run, shapes, settings, history, tmp_path):
    pretrain(shapes, tmp_path / "workers", settings("training.workers=2"))
    assert history(tmp_path / "workers") == history(run)
    waits = [row["data_wait"] for row in json.loads((run / "history.json").read_text()) if "data_wait" in row]
    assert len(waits) > 1 and all(0 < wait < 1 for wait in waits)


def test_an_existing_run_is_refused_and_left_alone(run, shapes, settings):
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="there is a run already; add --resume"):
        pretrain(shapes, run, settings())
    assert (run / "model.safetensors").read_bytes() == before


def test_nothing_to_resume_from(shapes, settings, tmp_path):
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        pretrain(shapes, tmp_path / "new", settings(), resume=True)
    assert not (tmp_path / "new").exists()


def test_a_stopped_run_goes_on_as_if_it_never_stopped(run, shapes, settings, history, tmp_path):
    """From the checkpoint after step 6, in the middle of the second epoch."""
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped)
    shutil.rmtree(stopped / "checkpoints" / "checkpoint-8")
    for name in ("model.safetensors", "config.json", "history.json"):
        (stopped / name).unlink()
    pretrain(shapes, stopped, settings(), resume=True)
    assert history(stopped) == history(run)
    assert (stopped / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert json.loads((stopped / "checkpoints/checkpoint-8/time_budget.json").read_text())["seconds"] > 0


def test_a_run_goes_on_with_its_own_tokenizer(run, shapes, settings, history, tmp_path):
    """Another vocabulary than its embeddings were trained on would scramble them; more epochs only go on."""
    longer = tmp_path / "longer"
    shutil.copytree(run, longer)
    tokenizer = (longer / "tokenizer.json").read_text()
    overrides = ("training.epochs=3", "tokenizer.vocabulary=60", "training.evaluate_every=4")
    pretrain(shapes, longer, settings(*overrides), resume=True)
    assert json.loads((longer / "tokenizer.json").read_text()) == json.loads(tokenizer)
    rows = history(longer)
    assert max(row["step"] for row in rows) == 12
    assert [row["loss"] for row in rows if "loss" in row][:8] == [r["loss"] for r in history(run) if "loss" in r]


def test_joint_objectives_wait_and_few_validation_products_are_measured(shapes, settings, history, tmp_path):
    """The first half is contrastive only; ten products to validate are less than one batch."""
    overrides = ("training.joint_from=0.5", "training.evaluation_products=10", "training.epochs=1")
    figures = pretrain(shapes, tmp_path / "late", settings(*overrides, "training.bf16=true"))
    rows = [row for row in history(tmp_path / "late") if "loss" in row]
    assert ["AMLM" in row for row in rows] == [False, False, True, True]
    assert all("contrastive" in row for row in rows)
    assert {f"eval_{name}" for name in FIGURES} <= set(figures)


def test_guided_masking_is_told_in_the_history(shapes, settings, history, aligned, tmp_path, monkeypatch):
    """And masked tokens become what the settings say."""
    used = set()
    masked = pretraining_collator.mask_tokens
    monkeypatch.setattr(pretraining_collator, "mask_tokens", lambda *values: used.add(values[-1]) or masked(*values))
    shares = settings("training.epochs=1", "objectives.token_masking={mask: 0.9, random: 0.1, unchanged: 0}")
    figures = pretrain(shapes, tmp_path / "guided", shares, alignment=aligned)
    assert used == {TokenMasking(0.9, 0.1, 0)}
    rows = [row for row in history(tmp_path / "guided") if "loss" in row]
    assert all(0 < row["guided"] <= 0.5 for row in rows) and figures["products_without_pairs"] == 0


def test_an_alignment_without_a_pair_is_used_and_reported(shapes, settings, history, tmp_path):
    with AlignmentWriter(tmp_path / "pairs.parquet", AlignmentSummary("teacher", "none", [5], 0.0)) as writer:
        writer.add([("0-0", 0, [])])
    figures = pretrain(shapes, tmp_path / "run", settings("training.epochs=0.5"), alignment=tmp_path)
    assert figures["products_without_pairs"] == 64
    rows = [row for row in history(tmp_path / "run") if "loss" in row]
    assert [row["guided"] for row in rows] == [0.0, 0.0]


def test_a_run_starts_from_another_at_another_resolution(run, shapes, settings, history, tmp_path):
    pretrain(shapes, tmp_path / "larger", settings("training.epochs=1", f"initial.run={run}", "model.image_size=48"))
    first, anew = (history(folder)[0]["contrastive"] for folder in (tmp_path / "larger", run))
    assert first < anew
    assert (tmp_path / "larger" / "tokenizer.json").read_text() == (run / "tokenizer.json").read_text()
    assert KaleidoBertProcessor.from_pretrained(tmp_path / "larger").image_processor.image_size == 48


def test_a_run_of_other_sizes_is_no_start(run, shapes, settings, tmp_path):
    with pytest.raises(InputError, match="do not fit this run's settings: size mismatch for kaleidobert.image_proj"):
        pretrain(shapes, tmp_path / "other", settings(f"initial.run={run}", "model.projection_size=8"))


def test_a_start_from_a_run_and_from_a_bert_is_refused(run, shapes, settings, tmp_path):
    with pytest.raises(InputError, match="initial.run sets all weights"):
        pretrain(shapes, tmp_path / "both", settings(f"initial.run={run}", "initial.text=somewhere"))


def test_a_run_starts_from_published_weights(shapes, tokenizer, preset, tmp_path):
    """Of a text and an image checkpoint, whose sizes, tokenizer and normalisation become the run's."""
    torch.manual_seed(0)
    text = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **TEXT))
    image = Dinov2Model(Dinov2Config(**IMAGE))
    for model, folder in ((text, "text"), (image, "image")):
        model.save_pretrained(tmp_path / folder)
    tokenizer.save_pretrained(tmp_path / "text")
    (tmp_path / "image" / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    chosen = yaml.safe_load(preset.read_text())
    chosen["model"] |= {"encoder_config": {"num_hidden_layers": 2}, "backbone_config": {}, "fusion_layer": 1}
    chosen["initial"] = {"text": str(tmp_path / "text"), "image": str(tmp_path / "image")}
    chosen["tokenizer"]["vocabulary"] = None
    (tmp_path / "start.yaml").write_text(yaml.safe_dump(chosen))
    overrides = ["training.epochs=0.25", "training.learning_rate=1e-9"]
    pretrain(shapes, tmp_path / "run", load_settings(str(tmp_path / "start.yaml"), overrides))
    run = load_model(tmp_path / "run", KaleidoBertForRetrieval).kaleidobert
    assert run.config.image_mean == [0.5] * 3
    assert load_settings(str(tmp_path / "run" / "settings.yaml")).model["encoder_config"]["hidden_size"] == 32
    vocabularies = [AutoTokenizer.from_pretrained(tmp_path / folder).get_vocab() for folder in ("run", "text")]
    assert vocabularies[0] == vocabularies[1]
    for own, published in ((run.bert, text), (run.patch_encoder.backbone, image)):
        weights = published.state_dict()
        for name, value in own.state_dict().items():
            assert torch.allclose(value, weights[name], atol=1e-6), name


def test_rates_and_decay_of_the_optimizer(shapes, settings, tmp_path, monkeypatch):
    """Each part at its own rate, frozen ones not at all, and no decay of norms and biases."""
    seen = {}

    def end(trainer, *_, **__):
        assert type(trainer.create_optimizer()) is torch.optim.Adam
        names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
        for group in trainer.create_optimizer().param_groups:
            for parameter in group["params"]:
                seen[names[id(parameter)]] = group["lr"], group["weight_decay"]
        raise KeyboardInterrupt

    monkeypatch.setattr(KaleidoBertTrainer, "train", end)
    overrides = (
        "learning_rate=1",
        "backbone_learning_rate=0.1",
        "layer_decay=0.5",
        "frozen_layers=1",
        "optimizer=adam",
    )
    with pytest.raises(KeyboardInterrupt):
        pretrain(shapes, tmp_path / "run", settings(*(f"training.{each}" for each in overrides)))
    layer = "kaleidobert.bert.encoder.layer."
    assert seen[layer + "2.output.dense.weight"] == (1, 0.05) and seen[layer + "1.output.dense.weight"] == (0.5, 0.05)
    assert seen[layer + "1.output.dense.bias"] == (0.5, 0) and seen[layer + "1.output.LayerNorm.weight"] == (0.5, 0)
    assert layer + "0.output.dense.weight" not in seen
    assert seen["kaleidobert.bert.embeddings.word_embeddings.weight"] == (0.125, 0.05)
    backbone = {value for name, value in seen.items() if "patch_encoder.backbone." in name}
    assert backbone == {(0.1, 0.05), (0.1, 0)}


def test_minutes_end_a_run(shapes, settings, history, tmp_path):
    pretrain(shapes, tmp_path / "short", settings("training.epochs=1000"), max_minutes=0.01)
    last = max(row["step"] for row in history(tmp_path / "short"))
    assert 1 <= last < 400
    assert (tmp_path / "short" / "model.safetensors").exists()


def test_settings_that_do_not_fit_the_data(shapes, settings, tmp_path):
    with pytest.raises(InputError, match="64 products to train on are fewer than one batch of 65"):
        pretrain(shapes, tmp_path / "run", settings("training.batch_size=65"))
    with pytest.raises(InputError, match="tokenizer.max_length is 25, but .*max_position_embeddings 24"):
        pretrain(shapes, tmp_path / "run", settings("tokenizer.max_length=25"))


def test_it_can_learn_a_catalogue_by_heart(catalogue, tokenizer, tiny_config):
    """Contrastive loss on the 64 products, from about ln 60 to less than a third."""
    torch.manual_seed(0)
    model = KaleidoBertForRetrieval(tiny_config(vocab_size=len(tokenizer), fusion_layer=1))
    batch = PairCollator(catalogue, tokenizer, seed=0, augmented=False)(range(64))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(32):
        loss = model(**batch).losses["contrastive"]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] > 3.5
    assert losses[-1] < losses[0] / 3, losses[::10]
