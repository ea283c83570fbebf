from functools import partial

import pytest
import torch
from torch.nn import functional as F
from transformers.modeling_outputs import ModelOutput

from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertModel
from kaleidobert.model.layers import PrefixCache

KINDS = [(0, "pyramid"), (1, "pyramid"), (1, "crops")]


@pytest.fixture(params=KINDS, ids=[f"{features}-fusion{layer}" for layer, features in KINDS])
def model(request, tiny_config):
    torch.manual_seed(0)
    layer, features = request.param
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=layer, patch_features=features)).eval()
    # Fresh weights of 0.02 give scores that hardly differ; tests of equality need scores that could differ.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def photos():
    return torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def texts():
    """Ids (3, 7) and their mask: texts of 7, 5 and 2 tokens."""
    ids = torch.randint(5, 60, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(7) < torch.tensor([[7], [5], [2]])).long()
    return ids * mask, mask


def test_shapes(model, photos, texts):
    image, text = model.get_image_features(photos), model.get_text_features(*texts)
    pair = model.kaleidobert.encode_pair(text.token_states, texts[1], image.patch_states)
    assert image.image_embeds.shape == text.text_embeds.shape == (3, 24)
    assert image.patch_features.shape == (3, 55, 16)
    assert image.patch_states.shape == image.last_hidden_state.shape == (3, 55, 32)
    assert text.token_states.shape == text.last_hidden_state.shape == (3, 7, 32)
    assert image.pooler_output.shape == text.pooler_output.shape == pair.pooler_output.shape == (3, 32)
    assert pair.last_hidden_state.shape == (3, 62, 32)
    assert model.itm_logits(*texts, image.patch_states).shape == (3,)


def test_embeddings_have_unit_length(model, photos, texts):
    for embeds in (model.get_image_features(photos).image_embeds, model.get_text_features(*texts).text_embeds):
        assert embeds.norm(dim=-1).tolist() == pytest.approx([1, 1, 1])


def test_outputs_are_the_library_s(model, photos, texts):
    """By name, by key, by place, and as tuples; a mask is optional."""
    output = model.kaleidobert(photos, *texts)
    assert isinstance(output, ModelOutput) and torch.equal(output[0], output["last_hidden_state"])
    as_tuple = model.kaleidobert(photos, *texts, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], output.last_hidden_state)
    assert list(model.get_text_features(*texts))[:2] == ["text_embeds", "last_hidden_state"]
    whole = torch.ones_like(texts[0])
    assert torch.equal(
        model.get_text_features(texts[0]).text_embeds, model.get_text_features(texts[0], whole).text_embeds
    )
    scores = model(photos, *texts)
    expected = model.scale() * scores.text_embeds @ scores.image_embeds.T
    torch.testing.assert_close(scores.logits_per_text, expected)
    assert torch.equal(scores.logits_per_image, scores.logits_per_text.T) and scores.itm_logits.shape == (3,)


def test_features_are_standardised(model, photos):
    features = model.get_image_features(photos).patch_features
    torch.testing.assert_close(features.mean(dim=-1), torch.zeros(3, 55), atol=1e-5, rtol=0)
    assert features.var(dim=-1, unbiased=False).median().item() == pytest.approx(1, abs=1e-2)


def log_likelihood(model, ids, mask, patches) -> torch.Tensor:
    return model.token_log_likelihoods(ids, mask, model.kaleidobert.encode_prefix(patches)).sum(dim=1)


def test_padding_is_invisible(model, photos, texts):
    ids, mask = texts
    patches = model.get_image_features(photos).patch_states
    short = model.get_text_features(ids, mask)
    # what stands at padded places must not matter either, so they hold the ids of real tokens
    longer, longer_mask = F.pad(ids, (0, 9), value=33), F.pad(mask, (0, 9))
    long = model.get_text_features(longer, longer_mask)
    close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
    close(long.text_embeds, short.text_embeds)
    close(long.token_states[:, :7][mask.bool()], short.token_states[mask.bool()])
    for score in (model.itm_logits, partial(log_likelihood, model)):
        scores = score(ids, mask, patches)
        close(score(longer, longer_mask, patches), scores)
        assert scores.std() > 1e-3


def test_a_product_does_not_see_the_others_of_its_batch(model, photos, texts):
    ids, mask = texts
    together = model(photos, ids, mask).itm_logits
    alone = torch.cat([model(photos[i : i + 1], ids[i : i + 1], mask[i : i + 1]).itm_logits for i in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_forward_is_encode_pair_of_the_two_sides(model, photos, texts):
    image, text = model.get_image_features(photos), model.get_text_features(*texts)
    pair = model.kaleidobert.encode_pair(text.token_states, texts[1], image.patch_states)
    torch.testing.assert_close(model.kaleidobert(photos, *texts).last_hidden_state, pair.last_hidden_state)


def test_the_single_stream_sees_both_sides(model, photos, texts):
    ids, mask = texts
    encode = model.kaleidobert
    before = encode(photos, ids, mask).last_hidden_state
    other_photo = encode(photos.flip(0), ids, mask).last_hidden_state
    other_text = encode(photos, (ids + 1) * mask, mask).last_hidden_state
    assert (before - other_photo)[0, :7].abs().max() > 1e-3  # tokens
    assert (before - other_text)[0, 7:].abs().max() > 1e-3  # patches


def test_lower_layers_serve_one_side_and_upper_layers_both(tiny_config, photos, texts):
    """With fusion_layer 1 of 3, a pair costs two layers, and each side alone one."""
    model = KaleidoBertModel(tiny_config(fusion_layer=1)).eval()
    calls = [0, 0, 0]
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.register_forward_hook(lambda *_, number=number: calls.__setitem__(number, calls[number] + 1))
    image, text = model.encode_image(photos), model.encode_text(*texts)
    assert calls == [2, 0, 0]
    model.encode_pair(text.token_states, texts[1], image.patch_states)
    assert calls == [2, 1, 1]


def test_with_mirror_a_photo_and_its_mirror_image_have_the_same_embedding(tiny_config):
    torch.manual_seed(0)
    model = KaleidoBertForRetrieval(tiny_config(mirror=True)).eval()
    pixels = torch.rand(3, 3, 40, 40)
    one, other = (model.get_image_features(each) for each in (pixels, pixels.flip(-1)))
    torch.testing.assert_close(one.image_embeds, other.image_embeds)
    torch.testing.assert_close(one.image_embeds.norm(dim=1), torch.ones(3))
    plain = model.kaleidobert.encode_image(pixels)
    assert torch.equal(one.patch_states, plain.patch_states)
    assert not torch.allclose(one.image_embeds, plain.image_embeds)
    assert torch.equal(model.train().get_image_features(pixels).image_embeds.norm(dim=1).round(), torch.ones(3))


def test_a_photo_is_embedded_from_its_visible_patches(model, photos):
    visible = torch.tensor([[0, 3, 54], [1, 2, 3], [5, 30, 50]])
    image, whole = model.kaleidobert.encode_image(photos, visible), model.kaleidobert.encode_image(photos)
    assert image.patch_states.shape[1] == 3 and torch.equal(image.patch_features, whole.patch_features)
    again = model.kaleidobert.encode_image(photos, torch.arange(55).expand(len(photos), -1))
    torch.testing.assert_close(again.image_embeds, whole.image_embeds)
    assert not torch.allclose(image.image_embeds, whole.image_embeds)


def test_text_only_is_the_text_s_own_likelihood(model, photos, texts):
    """`text_only` in training and no patches at all are the same function, and a photo changes it."""
    ids, mask = texts
    patches = model.get_image_features(photos).patch_states
    everyone = torch.ones(len(ids), dtype=torch.bool)
    with_photo = model.captioning_loss(ids, mask, model.kaleidobert.encode_prefix(patches), ~everyone)
    without = model.captioning_loss(ids, mask, model.kaleidobert.encode_prefix(patches), everyone)
    count = mask[:, 1:].sum()
    assert abs((without - with_photo).item()) > 1e-4
    alone = model.token_log_likelihoods(ids, mask, PrefixCache()).sum()
    torch.testing.assert_close(without, -alone / count, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(with_photo, -log_likelihood(model, ids, mask, patches).sum() / count)
