from functools import partial

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertModel

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


def test_shapes_of_the_three_entries(model, photos, texts):
    image, text = model.encode_image(photos), model.encode_text(*texts)
    joint = model.kaleidobert.encode_pair(text.tokens, texts[1], image.patches)
    assert image.vectors.shape == text.vectors.shape == (3, 24)
    assert image.features.shape == (3, 55, 16)
    assert image.patches.shape == joint.patches.shape == (3, 55, 32)
    assert text.tokens.shape == joint.tokens.shape == (3, 7, 32)
    assert model.joint_scores(*texts, image.patches).shape == (3,)


def test_vectors_have_unit_length(model, photos, texts):
    for vectors in (model.encode_image(photos).vectors, model.encode_text(*texts).vectors):
        assert vectors.norm(dim=-1).tolist() == pytest.approx([1, 1, 1])


def test_features_are_standardised(model, photos):
    features = model.encode_image(photos).features
    torch.testing.assert_close(features.mean(dim=-1), torch.zeros(3, 55), atol=1e-5, rtol=0)
    assert features.var(dim=-1, unbiased=False).median().item() == pytest.approx(1, abs=1e-2)


def test_padding_is_invisible(model, photos, texts):
    ids, mask = texts
    image = model.encode_image(photos)
    short = model.encode_text(ids, mask)
    # what stands at padded places must not matter either, so they hold the ids of real tokens
    longer, longer_mask = F.pad(ids, (0, 9), value=33), F.pad(mask, (0, 9))
    long = model.encode_text(longer, longer_mask)
    close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
    close(long.vectors, short.vectors)
    close(long.tokens[:, :7][mask.bool()], short.tokens[mask.bool()])
    for model.config.joint_scorer in ("matching", "reading"):
        scores = model.joint_scores(ids, mask, image.patches)
        close(model.joint_scores(longer, longer_mask, image.patches), scores)
        assert scores.std() > 1e-3


def test_a_product_does_not_see_the_others_of_its_batch(model, photos, texts):
    ids, mask = texts
    together = model(photos, ids, mask).scores
    alone = torch.cat([model(photos[i : i + 1], ids[i : i + 1], mask[i : i + 1]).scores for i in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_forward_is_the_joint_entry_of_the_uni_modal_ones(model, photos, texts):
    image, text = model.encode_image(photos), model.encode_text(*texts)
    joint = model.kaleidobert.encode_pair(text.tokens, texts[1], image.patches)
    direct = model.kaleidobert(photos, *texts)
    torch.testing.assert_close(direct.tokens, joint.tokens)
    torch.testing.assert_close(direct.patches, joint.patches)


def test_the_joint_entry_sees_both_sides(model, photos, texts):
    ids, mask = texts
    before = model.kaleidobert(photos, ids, mask)
    other_photo = model.kaleidobert(photos.flip(0), ids, mask)
    other_text = model.kaleidobert(photos, (ids + 1) * mask, mask)
    assert (before.tokens - other_photo.tokens)[0].abs().max() > 1e-3
    assert (before.patches - other_text.patches)[0].abs().max() > 1e-3


def test_combined_scores(model, photos, texts):
    model.config.joint_weight = 0.5
    image, text = model.encode_image(photos), model.encode_text(*texts)
    joint = model.joint_scores(*texts, image.patches)
    expected = model.logit_scale.exp() * (image.vectors * text.vectors).sum(dim=-1) + 0.5 * joint
    torch.testing.assert_close(model(photos, *texts).scores, expected)


def test_a_photo_that_asks_weighs_the_joint_model_in_its_own_way(model):
    one, joint = torch.zeros(1), torch.ones(1)
    model.config.joint_weight, model.config.joint_weight_itr = 0.5, None
    assert [model.combined_scores(one, joint, way).item() for way in ("TIR", "ITR")] == [0.5, 0.5]
    model.config.joint_weight_itr = 0.0
    assert [model.combined_scores(one, joint, way).item() for way in ("TIR", "ITR")] == [0.5, 0.0]


def test_attention_implementations_agree(tmp_path, photos, texts, model):
    model.save_pretrained(tmp_path)
    eager = KaleidoBertForRetrieval.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.config.encoder_config._attn_implementation == "eager"
    torch.testing.assert_close(eager(photos, *texts).scores, model(photos, *texts).scores, atol=1e-4, rtol=1e-4)


def test_lower_layers_serve_one_side_and_upper_layers_both(tiny_config, photos, texts):
    """With fusion_layer 1 of 3, the joint entry costs two layers a pair, the uni-modal entries one."""
    model = KaleidoBertModel(tiny_config(fusion_layer=1)).eval()
    calls = [0, 0, 0]
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.register_forward_hook(lambda *_, number=number: calls.__setitem__(number, calls[number] + 1))
    image, text = model.encode_image(photos), model.encode_text(*texts)
    assert calls == [2, 0, 0]
    model.encode_pair(text.tokens, texts[1], image.patches)
    assert calls == [2, 1, 1]


def test_a_mirrored_photo_has_the_same_vector_where_both_sides_are_looked_at(tiny_config):
    torch.manual_seed(0)
    model = KaleidoBertForRetrieval(tiny_config(mirror=True)).eval()
    pixels = torch.rand(3, 3, 40, 40)
    one, other = (model.encode_image(each) for each in (pixels, pixels.flip(-1)))
    torch.testing.assert_close(one.vectors, other.vectors)
    torch.testing.assert_close(one.vectors.norm(dim=1), torch.ones(3))
    plain = model.kaleidobert.encode_image(pixels)
    assert torch.equal(one.patches, plain.patches) and not torch.allclose(one.vectors, plain.vectors)


@pytest.mark.parametrize("scorer", ["matching", "reading"])
def test_photos_with_many_texts_are_looked_at_once(model, photos, texts, scorer):
    model.config.joint_scorer, model.config.prior_weight = scorer, 0.7
    patches = model.encode_image(photos).patches
    which = torch.tensor([2, 0, 2])
    expected = model.joint_scores(*texts, patches[which])
    torch.testing.assert_close(model.joint_scores(*texts, patches, which, model.text_log_prior(*texts)), expected)


def test_a_photo_is_seen_by_the_patches_that_are_kept(model, photos):
    kept = torch.tensor([[0, 3, 54], [1, 2, 3], [5, 30, 50]])
    image, whole = model.kaleidobert.encode_image(photos, kept), model.kaleidobert.encode_image(photos)
    assert image.patches.shape[1] == 3 and torch.equal(image.features, whole.features)
    again = model.kaleidobert.encode_image(photos, torch.arange(55).expand(len(photos), -1))
    torch.testing.assert_close(again.vectors, whole.vectors)
    assert not torch.allclose(image.vectors, whole.vectors)


def test_reading_without_a_photo_is_the_texts_own_likelihood(model, photos, texts):
    """`text_only` in training and no patches at all are the same function, and a photo changes it."""
    ids, mask = texts
    patches = model.encode_image(photos).patches
    everyone = torch.ones(len(ids), dtype=torch.bool)
    seen = model.captioning_loss(ids, mask, patches, ~everyone)
    blind = model.captioning_loss(ids, mask, patches, everyone)
    model.config.joint_scorer = "reading"
    gain = model.joint_scores(ids, mask, patches).sum() / mask[:, 1:].sum()
    assert abs((blind - seen).item()) > 1e-4
    torch.testing.assert_close(blind - seen, gain, atol=1e-5, rtol=1e-4)
