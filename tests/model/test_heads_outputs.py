"""Every model takes the library's keywords: hidden states, attentions, tuples, defaults from the configuration."""

import pytest
import torch

from kaleidobert.model import (
    KaleidoBertForCaptioning,
    KaleidoBertForClassification,
    KaleidoBertForRetrieval,
    KaleidoBertModel,
)

KINDS = [KaleidoBertModel, KaleidoBertForRetrieval, KaleidoBertForClassification, KaleidoBertForCaptioning]


@pytest.fixture(params=KINDS, ids=[kind.__name__ for kind in KINDS])
def model(request, tiny_config):
    torch.manual_seed(0)
    return request.param(tiny_config(fusion_layer=1, num_labels=3)).eval()


@pytest.fixture
def inputs(model, make_batch):
    batch = make_batch(model.config)
    return {name: batch[name] for name in ("pixel_values", "input_ids")}


def test_hidden_states_and_attentions_on_request(model, inputs):
    model.set_attn_implementation("eager")
    plain = model(**inputs)
    assert plain.hidden_states is None and plain.attentions is None
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    layers = model.config.encoder_config.num_hidden_layers
    fused = layers - isinstance(model, KaleidoBertForRetrieval)  # which encodes each side for its embedding before
    assert len(output.attentions) == fused and len(output.hidden_states) == fused + 1
    assert all(each.shape[-1] == model.config.encoder_config.hidden_size for each in output.hidden_states)
    model.config.output_hidden_states = True
    assert len(model(**inputs).hidden_states) == fused + 1
    assert model(**inputs, output_hidden_states=False).hidden_states is None


def test_return_dict(model, inputs):
    output = model(**inputs)
    as_tuple = model(**inputs, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], output[0])
    model.config.return_dict = False
    assert torch.equal(model(**inputs)[0], output[0]) and isinstance(model(**inputs), tuple)


def test_without_a_mask_nothing_is_padding(model, inputs):
    found = model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]))
    torch.testing.assert_close(model(**inputs)[0], found[0])


def test_unknown_keywords_are_refused(model, inputs):
    with pytest.raises(TypeError, match="bogus"):
        model(**inputs, bogus=1)


def test_the_vocabulary_can_be_resized(model, inputs, tmp_path):
    words = model.config.encoder_config.vocab_size
    model.resize_token_embeddings(words + 3)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert again.config.encoder_config.vocab_size == words + 3
    assert again.get_input_embeddings().num_embeddings == words + 3
    torch.testing.assert_close(again(**inputs)[0], model(**inputs)[0])
