"""Initial weights from BERT and ResNet checkpoints in their published formats, at a small size."""

import pytest
import torch
from transformers import (
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    ResNetForImageClassification,
    ResNetModel,
)

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.model.initial import load_image, load_text


@pytest.fixture(scope="module")
def model(tiny_config):
    return KaleidoBertForPreTraining(tiny_config())


@pytest.mark.parametrize("model_class", [BertModel, BertForMaskedLM, BertForPreTraining])
def test_bert_weights_are_loaded(model, tiny_config, tmp_path, model_class):
    published = model_class(tiny_config().encoder_config)
    published.save_pretrained(tmp_path)
    load_text(model.kaleidobert, str(tmp_path))
    weights = getattr(published, "bert", published).state_dict()
    own = model.kaleidobert.bert.state_dict()
    assert set(own) == {name for name in weights if not name.startswith("pooler")}
    assert all(torch.equal(tensor, weights[name]) for name, tensor in own.items())
    assert model.lm_head.decoder.weight is model.kaleidobert.bert.embeddings.word_embeddings.weight


@pytest.mark.parametrize("model_class", [ResNetModel, ResNetForImageClassification])
def test_backbone_weights_and_statistics_are_loaded(model, tiny_config, tmp_path, model_class):
    published = model_class(tiny_config().backbone_config)
    with torch.no_grad():
        for buffer in published.buffers():
            buffer.copy_(buffer + 2)
    published.save_pretrained(tmp_path)
    load_image(model.kaleidobert, str(tmp_path))
    weights = getattr(published, "resnet", published).state_dict()
    own = model.kaleidobert.patch_encoder.backbone.state_dict()
    assert set(own) == set(weights)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in own.items())


@pytest.mark.parametrize(
    "size, theirs", [("hidden_size", 48), ("num_hidden_layers", 2), ("vocab_size", 70), ("num_attention_heads", 4)]
)
def test_a_bert_of_another_size_is_refused(model, tiny_config, tmp_path, size, theirs):
    config = tiny_config().encoder_config
    own = getattr(config, size)
    setattr(config, size, theirs)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"its {size} is {theirs}, this model's is {own}") as error:
        load_text(model.kaleidobert, str(tmp_path))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize("size, theirs", [("hidden_sizes", [8, 24]), ("depths", [1, 2])])
def test_a_backbone_of_another_size_is_refused(model, tiny_config, tmp_path, size, theirs):
    config = tiny_config().backbone_config
    own = getattr(config, size)
    setattr(config, size, theirs)
    ResNetModel(config).save_pretrained(tmp_path)
    with pytest.raises(InputError) as error:
        load_image(model.kaleidobert, str(tmp_path))
    assert f"its {size} is {theirs}, this model's is {own}" in str(error.value)


def test_checkpoints_of_another_model_type_or_missing(model, tiny_config, tmp_path):
    ResNetModel(tiny_config().backbone_config).save_pretrained(tmp_path / "resnet")
    with pytest.raises(InputError, match="its model_type is resnet, this model's is bert"):
        load_text(model.kaleidobert, str(tmp_path / "resnet"))
    with pytest.raises(InputError, match="nowhere: no checkpoint there") as error:
        load_image(model.kaleidobert, str(tmp_path / "nowhere"))
    assert "\n" not in str(error.value)
