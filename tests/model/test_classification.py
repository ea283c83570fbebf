from typing import Any

import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForClassification, KaleidoBertForPreTraining, KaleidoBertForRetrieval
from kaleidobert.model.loading import load_model
from kaleidobert.model.losses import NO_LABEL

NAMES = {0: "bag", 1: "hat", 2: "shirt"}
LABELS = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}


@pytest.fixture
def model(tiny_config):
    def build(**settings) -> KaleidoBertForClassification:
        torch.manual_seed(0)
        return KaleidoBertForClassification(tiny_config(**LABELS, **settings)).eval()

    return build


@pytest.fixture
def batch(model, make_batch):
    made = make_batch(model().config)
    return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}


@pytest.mark.parametrize("fusion", [0, 1])
@pytest.mark.parametrize("inputs", ["both", "image", "text"])
def test_it_reads_what_it_is_told_to_and_nothing_else(model, batch, inputs, fusion):
    classifier = model(inputs=inputs, fusion_layer=fusion)
    logits = classifier(**batch).logits
    assert logits.shape == (len(batch["input_ids"]), 3)
    other_photos = classifier(**batch | {"pixel_values": 1 - batch["pixel_values"]}).logits
    other_texts = classifier(**batch | {"input_ids": batch["input_ids"].flip(0)}).logits
    assert torch.equal(logits, other_photos) == (inputs == "text")
    assert torch.equal(logits, other_texts) == (inputs == "image")
    needed = {"image": ["pixel_values"], "text": ["input_ids", "attention_mask"]}.get(inputs, list(batch))
    assert torch.equal(classifier(**{name: batch[name] for name in needed}).logits, logits)
    with pytest.raises(ValueError, match=f"trained on {inputs} inputs"):
        classifier(**{name: batch[name] for name in needed[1:]})


def test_the_loss_is_the_mean_over_known_classes(model, batch):
    classifier, labels = model(), torch.tensor([2, NO_LABEL, 0, 1])
    output = classifier(**batch, labels=labels)
    known = [0, 2, 3]
    expected = torch.nn.functional.cross_entropy(output.logits[known], labels[known])
    assert output.loss.item() == pytest.approx(expected.item())
    right = (output.logits.argmax(dim=1) == labels).float().mean()
    assert output.accuracies["classification"] == right and output.losses == {"classification": output.loss}
    nothing = classifier(**batch, labels=torch.full((4,), NO_LABEL))
    assert nothing.loss == 0 and nothing.accuracies["classification"] == 0


def test_save_and_load(model, batch, tmp_path):
    classifier = model(inputs="image", task="category")
    classifier.save_pretrained(tmp_path)
    loaded = KaleidoBertForClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).logits, classifier(**batch).logits)
    kept = loaded.config
    assert (kept.id2label, kept.label2id, kept.inputs, kept.task) == (NAMES, LABELS["label2id"], "image", "category")


def test_it_starts_from_a_pre_training_run(tiny_config, batch, tmp_path):
    pretrained = KaleidoBertForPreTraining(tiny_config())
    pretrained.save_pretrained(tmp_path / "run")
    loaded: Any = KaleidoBertForClassification.from_pretrained(tmp_path / "run", output_loading_info=True)
    report = loaded[1]
    assert all(key.startswith("classifier.") for key in report["missing_keys"]) and not report["unexpected_keys"]
    started = load_model(tmp_path / "run", KaleidoBertForClassification, new="classifier.", **LABELS)
    for name, weight in pretrained.kaleidobert.state_dict().items():
        assert torch.equal(started.kaleidobert.state_dict()[name], weight), name
    assert started(**batch).logits.shape[1] == 3
    started.save_pretrained(tmp_path / "tuned")
    other = {0: "a", 1: "b"}
    again = load_model(tmp_path / "tuned", KaleidoBertForClassification, new="classifier.", id2label=other)
    assert again(**batch).logits.shape[1] == 2  # another task's head is none of its own


def test_a_run_of_another_kind_is_refused(model, tiny_config, tmp_path):
    model().save_pretrained(tmp_path / "classes")
    with pytest.raises(InputError, match="holds a KaleidoBertForClassification, not a KaleidoBertForRetrieval"):
        load_model(tmp_path / "classes", KaleidoBertForRetrieval)
    KaleidoBertForRetrieval(tiny_config()).save_pretrained(tmp_path / "ranks")
    with pytest.raises(InputError, match="not a KaleidoBertForClassification"):
        load_model(tmp_path / "ranks", KaleidoBertForClassification)


def test_inputs_are_checked(tiny_config):
    with pytest.raises(InputError, match="inputs is 'sound'; use both, image, text"):
        tiny_config(inputs="sound")
