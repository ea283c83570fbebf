"""The contract with `transformers`: what `model.layers` and its switches need of the library, in one place.

A new version of the library that changes one of these fails here first.
"""

import pytest
import torch
from transformers import BertModel

from kaleidobert.model import KaleidoBertForCaptioning, KaleidoBertForPreTraining, KaleidoBertForRetrieval
from kaleidobert.model.layers import PrefixCache, decode, encode_prefix, run_layers


@pytest.fixture(params=[0, 1], ids=["fusion0", "fusion1"])
def model(request, tiny_config):
    torch.manual_seed(0)
    return KaleidoBertForRetrieval(tiny_config(fusion_layer=request.param)).eval()


@pytest.fixture
def batch(model, make_batch):
    made = make_batch(model.config)
    return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}


def test_layers_one_by_one_are_the_library_s_encoder(tiny_config):
    """Embeddings, layers and padding mask give what `BertModel` itself gives."""
    bert = BertModel(tiny_config().encoder_config, add_pooling_layer=False).eval()
    ids, mask = torch.randint(5, 60, (2, 6)), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    own = run_layers(bert, bert.embeddings(ids), mask, 0, None)
    expected = bert(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(own[mask.bool()], expected[mask.bool()])


def test_the_cache_counts_tokens_alone_and_follows_its_rows(tiny_config):
    bert = BertModel(tiny_config().encoder_config, add_pooling_layer=False).eval()
    states, ids = torch.randn(2, 5, 32), torch.randint(5, 60, (2, 3))
    cache = encode_prefix(bert, states, 1)
    assert isinstance(cache, PrefixCache) and (cache.prefix_length, cache.get_seq_length()) == (5, 0)
    assert set(cache.prefix) == {1, 2}
    decode(bert, ids, cache, 1)
    assert [cache.get_seq_length(layer) for layer in range(3)] == [3, 3, 3]
    swapped = torch.tensor([1, 0])
    for reorder in (cache.reorder_cache, cache.batch_select_indices):
        before = cache.prefix[1][0].clone()
        reorder(swapped)
        assert torch.equal(cache.prefix[1][0], before[swapped])
    cache.batch_select_indices(torch.tensor([0, 0, 1]))
    assert cache.prefix[2][1].shape[0] == 3 == cache.layers[0].keys.shape[0]


def test_hidden_states_and_attentions_of_the_whole_stream(model, batch):
    model.set_attn_implementation("eager")
    encoder = model.kaleidobert
    plain = encoder(**batch)
    output = encoder(**batch, output_hidden_states=True, output_attentions=True)
    assert plain.hidden_states is None and plain.attentions is None
    torch.testing.assert_close(output.last_hidden_state, plain.last_hidden_state)
    length = batch["input_ids"].shape[1] + 55
    assert [tuple(each.shape) for each in output.hidden_states] == [(4, length, 32)] * 4
    assert [tuple(each.shape) for each in output.attentions] == [(4, 2, length, length)] * 3
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for layer, attention in enumerate(output.attentions):
        torch.testing.assert_close(attention.sum(dim=-1), torch.ones(4, 2, length))
        across = attention[:, :, :8, 8:].abs().max()  # from tokens to patches
        assert (across == 0) == (layer < model.config.fusion_layer)
    image = model.get_image_features(batch["pixel_values"], output_hidden_states=True, output_attentions=True)
    text = model.get_text_features(
        batch["input_ids"], batch["attention_mask"], output_hidden_states=True, output_attentions=True
    )
    layers = model.config.fusion_layer or 3
    assert len(image.hidden_states) == len(text.hidden_states) == layers + 1
    assert len(image.attentions) == len(text.attentions) == layers
    assert torch.equal(image.hidden_states[-1], image.last_hidden_state)


@pytest.mark.parametrize("fusion, image_layers", [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (0, 1), (0, 2)])
def test_hidden_states_of_an_image_side_of_its_own(tiny_config, batch, fusion, image_layers):
    """A side with fewer layers than the other starts later: its first states stand in for the missing ones."""
    torch.manual_seed(0)
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=fusion, image_layers=image_layers)).eval()
    model.set_attn_implementation("eager")
    encoder = model.kaleidobert
    output = encoder(**batch, output_hidden_states=True, output_attentions=True)
    torch.testing.assert_close(output.last_hidden_state, encoder(**batch).last_hidden_state)
    length, apart = batch["input_ids"].shape[1], max(fusion, image_layers)
    assert len(output.attentions) == apart + 3 - fusion == len(output.hidden_states) - 1
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    patches = encoder.get_image_features(batch["pixel_values"], output_hidden_states=True).hidden_states or ()
    tokens = encoder.bert(batch["input_ids"], batch["attention_mask"], output_hidden_states=True).hidden_states
    first = encoder._patch_inputs(encoder.patch_features(batch["pixel_values"]), None)
    for layer, states in enumerate(output.hidden_states[: apart + 1]):
        mine, theirs = layer - apart + fusion, layer - apart + image_layers
        torch.testing.assert_close(states[:, :length], tokens[max(0, mine)])
        torch.testing.assert_close(states[:, length:], patches[theirs] if theirs > 0 else first)
    for layer, attention in enumerate(output.attentions[:apart]):
        assert attention[:, :, :length, length:].abs().max() == 0 == attention[:, :, length:, :length].abs().max()
        for side, missing in (
            (attention[:, :, :length, :length], apart - fusion),
            (attention[:, :, length:, length:], apart - image_layers),
        ):
            total = torch.zeros(()) if layer < missing else torch.ones(())
            torch.testing.assert_close(side.sum(-1), total.expand(side.shape[:-1]))


def test_attentions_of_a_fused_kernel_are_refused(model, batch):
    model.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="set_attn_implementation"):
        model.kaleidobert(**batch, output_attentions=True)


def test_attention_implementations_agree(model, batch, tmp_path):
    """Switched on a model, and chosen when it is loaded."""
    eager = model(**batch).itm_logits
    model.set_attn_implementation("sdpa")
    assert model.config.encoder_config._attn_implementation == "sdpa"
    torch.testing.assert_close(model(**batch).itm_logits, eager, atol=1e-4, rtol=1e-4)
    patches = model.get_image_features(batch["pixel_values"]).patch_states
    texts, text_only = (batch["input_ids"], batch["attention_mask"]), torch.tensor([True, False] * 2)
    fused = model.captioning_loss(*texts, model.kaleidobert.encode_prefix(patches), text_only)
    model.save_pretrained(tmp_path)
    assert (
        KaleidoBertForRetrieval.from_pretrained(
            tmp_path, attn_implementation="sdpa"
        ).kaleidobert.bert.config._attn_implementation
        == "sdpa"
    )
    loaded = KaleidoBertForRetrieval.from_pretrained(tmp_path, attn_implementation="eager")
    assert loaded.config.encoder_config._attn_implementation == "eager"
    torch.testing.assert_close(loaded(**batch).itm_logits, eager, atol=1e-4, rtol=1e-4)
    plain = loaded.captioning_loss(*texts, loaded.kaleidobert.encode_prefix(patches), text_only)
    torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", [KaleidoBertForPreTraining, KaleidoBertForRetrieval])
def test_gradient_checkpointing_gives_the_same_gradients(tiny_config, make_batch, kind, caplog):
    torch.manual_seed(0)
    model = kind(tiny_config(fusion_layer=1)).train()
    batch = make_batch(model.config)
    if kind is KaleidoBertForRetrieval:
        names = ("pixel_values", "input_ids", "attention_mask", "text_group", "negative_draws", "text_only")
        batch = {name: batch[name] for name in names}
    statistics = {name: value.clone() for name, value in model.named_buffers()}

    def gradients() -> dict[str, torch.Tensor]:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(statistics[name])
        model.zero_grad()
        model(**batch).loss.backward()
        return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}

    plain = gradients()
    model.activation_checkpointing_enable()
    assert model.is_activation_checkpointing
    calls = []
    model.kaleidobert.bert.encoder.layer[2].register_forward_hook(lambda *_: calls.append(1))
    checkpointed = gradients()
    assert checkpointed.keys() == plain.keys() and calls
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, atol=1e-5, rtol=1e-4)
    assert "incompatible with gradient checkpointing" not in caplog.text


def test_half_precision(model, batch, tmp_path, make_batch):
    """A model loaded in bfloat16 embeds, scores and captions, near to what it does in full precision."""
    model.save_pretrained(tmp_path)
    half = KaleidoBertForRetrieval.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert half.dtype == torch.bfloat16
    output, expected = half(**batch), model(**batch)
    assert output.image_embeds.dtype == torch.float32  # unit vectors keep their precision
    assert (output.image_embeds * expected.image_embeds).sum(dim=-1).min() > 0.99
    assert (output.text_embeds * expected.text_embeds).sum(dim=-1).min() > 0.99
    torch.testing.assert_close(output.itm_logits, expected.itm_logits, atol=0.05, rtol=0.05)
    captioner = KaleidoBertForCaptioning(model.config).to(torch.bfloat16).eval()
    captioner.set_special_tokens(2, 3, 0, [])
    assert captioner.generate(batch["pixel_values"], max_new_tokens=4).shape[0] == 4
    made = make_batch(model.config)
    trained = KaleidoBertForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert torch.isfinite(trained(**made).loss)
