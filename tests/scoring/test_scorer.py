"""The one way to score pairs: by a second route, with and without a memory, and what its fingerprint covers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForRetrieval, KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.formula import joint_score
from kaleidobert.scoring.layout_memory import BUFFERS, LayoutMemory
from kaleidobert.scoring.memory import MEMORY_FILE, RetrievalMemory, product_keys
from kaleidobert.scoring.ranking import RANKING_FILE, Ranking, RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer

COLOURS = ("red", "green", "blue", "black")
TEXTS = [f"{colour} square bag" for colour in COLOURS]
BOTH = {"TIR": 0.5, "ITR": 0.25}
MEMORY = {"memory_weight": 0.6, "hubness_weight": 0.5, "neighbour_word_weight": 0.3, "neighbour_pmi_weight": 0.5}


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [Image.new("RGB", (44, 50), colour) for colour in COLOURS]


@pytest.fixture(params=[(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)], ids=["itm", "lm", "sum"])
def scorer(request, tiny_config, photos) -> KaleidoBertScorer:
    """A model that is off its first weights, which remembers the four products it is asked for."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS * 3, vocabulary=60, max_length=16)
    model = KaleidoBertForRetrieval(tiny_config(vocab_size=len(tokenizer), fusion_layer=1)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    processor = KaleidoBertProcessor(KaleidoBertImageProcessor(40, saliency="none"), tokenizer)
    inputs = processor(images=photos, text=TEXTS)
    with torch.no_grad():
        image = model.get_image_features(inputs["pixel_values"])
        text = model.get_text_features(inputs["input_ids"], inputs["attention_mask"])
    pairs = CrossModalMemory(image.image_embeds.repeat(8, 1), text.text_embeds.repeat(8, 1))
    states = (image.patch_states[:, 5:14].flatten(1)).repeat(8, 1) + 0.01 * torch.randn(32, 9 * 32)
    layouts = LayoutMemory.build(states, inputs["input_ids"].repeat(8, 1), len(tokenizer), tokenizer.pad_token_id)
    plain = RankingWeights(*request.param, prior_weight=0.7, joint_weight=BOTH)
    memory = RetrievalMemory(pairs, layouts, product_keys(f"p{row}" for row in range(32)))
    return KaleidoBertScorer(model, processor, Ranking(plain, replace(plain, **MEMORY)), memory)


def test_the_score_is_the_ranking_formula(scorer, photos):
    """Cosine, hubness and joint score put together here."""
    for each in (scorer, scorer.without_memory()):
        images, texts = each.encode_images(photos), each.encode_texts(TEXTS)
        cosine = (images.embeds * texts.embeds).sum(dim=1)
        hubness = each.weights.hubness_weight * (images.hubness + texts.hubness)
        joint = each.joint_scores(texts.input_ids, texts.attention_mask, images.patch_states)
        expected = each.model.scale() * (cosine - hubness) + 0.5 * joint
        torch.testing.assert_close(each.score(photos, TEXTS), expected.detach())
    assert not torch.allclose(scorer.score(photos, TEXTS), scorer.without_memory().score(photos, TEXTS), atol=0.01)


def test_each_direction_has_its_own_joint_weight(scorer):
    zero, one = torch.zeros(1), torch.ones(1)
    assert [scorer.combine(zero, one, way).item() for way in ("TIR", "ITR")] == [0.5, 0.25]
    assert scorer.combine(one, zero).item() == pytest.approx(scorer.model.scale().item())


def test_rank_is_the_order_of_the_scores(scorer, photos):
    ranked = scorer.rank("blue square bag", photos)
    scores = scorer.score(photos, ["blue square bag"] * 4).tolist()
    assert [each["index"] for each in ranked] == sorted(range(4), key=lambda index: -scores[index])
    assert [each["score"] for each in ranked] == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
    assert scorer.rank("blue square bag", photos, top_k=2) == ranked[:2]


def test_paths_arrays_and_single_pairs_are_scored_alike(scorer, photos, tmp_path):
    photos[0].save(tmp_path / "red.png")
    one = scorer.score(photos[0], TEXTS[0])
    assert one.shape == (1,)
    torch.testing.assert_close(scorer.score(tmp_path / "red.png", TEXTS[0]), one)
    torch.testing.assert_close(scorer.score([str(tmp_path / "red.png")], [TEXTS[0]]), one)


def test_images_and_texts_must_be_as_many(scorer, photos):
    with pytest.raises(InputError, match="4 images and 2 texts"):
        scorer.score(photos, TEXTS[:2])


def test_the_joint_score_by_a_second_route(scorer, photos):
    """Each term alone: the scorer's own, the prior, the neighbours' words and their PMI."""
    inputs = scorer.processor(images=photos, text=TEXTS)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    joint = scorer.joint
    with torch.no_grad():
        patches = scorer.encode_images(photos).patch_states
        found = scorer.joint_scores(ids, mask, patches)
        layouts, near = scorer.memory.layouts, joint.neighbours(patches)
        pmi = layouts.neighbour_text_pmi(ids, near) - layouts.text_density(ids)
        steps = scorer.model.kaleidobert.decode_step(ids[:, :-1], scorer.model.kaleidobert.encode_prefix(patches))
        chosen = scorer.model.lm_head(steps).softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        mixed = (0.7 * chosen + 0.3 * layouts.word_probabilities(ids, near)).log()
        lm = (mixed * mask[:, 1:]).sum(dim=1) - 0.7 * joint.text_log_prior(ids, mask)[:, 0]
        own = scorer.weights.itm_weight * scorer.model.itm_logits(ids, mask, patches) + scorer.weights.lm_weight * lm
        torch.testing.assert_close(found, own + 0.5 * pmi, atol=1e-3, rtol=1e-4)
        assert pmi.min() >= -1e-3 and pmi.max() > 0.2  # everyone remembers its own text


def test_a_term_without_a_weight_is_not_computed(scorer, photos):
    """A search pays for no pass that counts nothing."""
    with torch.inference_mode():
        check_terms(scorer, photos)


def check_terms(scorer, photos):
    texts = scorer.encode_texts(TEXTS)
    plain, patches = scorer.without_memory(), scorer.encode_images(photos).patch_states
    terms = plain.joint.terms(texts.input_ids, texts.attention_mask, patches)
    assert (terms.itm is not None) == bool(plain.weights.itm_weight)
    assert (terms.log_likelihood is not None) == (terms.log_prior is not None) == bool(plain.weights.lm_weight)
    everything = plain.joint.terms(texts.input_ids, texts.attention_mask, patches, also=("itm", "lm"))
    assert everything.itm is not None and everything.log_likelihood is not None
    torch.testing.assert_close(joint_score(plain.weights, everything), joint_score(plain.weights, terms))


def test_a_trained_product_does_not_recall_itself(scorer, photos):
    """Its scores are those of a memory that lacks it: embedding, hubness, neighbours and both densities."""
    memory = scorer.memory
    kept = torch.arange(32) != 1
    pairs = CrossModalMemory(memory.pairs.images[kept], memory.pairs.texts[kept])
    parts = {name: getattr(memory.layouts, name) for name in BUFFERS}
    parts |= {name: parts[name][kept] for name in ("layouts", "tokens", "weights")}
    less = RetrievalMemory(pairs, LayoutMemory(parts, memory.layouts.padding), memory.products[kept])
    lacking = KaleidoBertScorer(scorer.model, scorer.processor, scorer.ranking, less)
    pixels = scorer.processor(images=photos[1:2])["pixel_values"]
    found, expected = scorer.encode_pixels(pixels, ["p1"]), lacking.encode_pixels(pixels, ["p1"])
    torch.testing.assert_close(found.embeds, expected.embeds)
    torch.testing.assert_close(found.hubness, expected.hubness)
    assert not torch.allclose(scorer.encode_pixels(pixels, ["new"]).hubness, found.hubness, atol=1e-5)
    plain, text = scorer.plain_text_embeds(TEXTS[1:2]), scorer.encode_texts(TEXTS[1:2])
    own = scorer.own_rows(["p1"])
    assert own.tolist() == [1] and scorer.own_rows(["new", "p31"]).tolist() == [-1, 31]
    torch.testing.assert_close(scorer.enhance_texts(plain, own), lacking.enhance_texts(plain))
    torch.testing.assert_close(scorer.text_hubness(plain, own), lacking.text_hubness(plain))
    with torch.inference_mode():
        inputs = (text.input_ids, text.attention_mask, found.patch_states)
        joint = scorer.joint_scores(*inputs, own=own, text_own=own)
        torch.testing.assert_close(joint, lacking.joint_scores(*inputs), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(joint, scorer.joint_scores(*inputs), atol=1e-3)


def test_photos_with_many_texts_are_encoded_once(scorer, photos):
    inputs = scorer.processor(text=TEXTS[:3])
    texts = inputs["input_ids"], inputs["attention_mask"]
    which = torch.tensor([2, 0, 2])
    with torch.no_grad():
        patches = scorer.encode_images(photos).patch_states
        expected = scorer.joint_scores(*texts, patches[which])
        log_prior = scorer.joint.text_log_prior(*texts)
        torch.testing.assert_close(scorer.joint_scores(*texts, patches, which, log_prior), expected)


def test_a_run_folder_is_loaded_with_its_memory_and_without(scorer, photos, tmp_path):
    with pytest.raises(InputError, match="no config.json"):
        KaleidoBertScorer.from_pretrained(tmp_path)
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no ranking.json: fit it with kaleidobert fit-ranker"):
        KaleidoBertScorer.from_pretrained(tmp_path)
    scorer.ranking.save(tmp_path)
    scorer.memory.save(tmp_path)
    loaded = KaleidoBertScorer.from_pretrained(tmp_path)
    assert loaded.weights == scorer.weights and loaded.fingerprint == scorer.fingerprint
    torch.testing.assert_close(loaded.score(photos, TEXTS), scorer.score(photos, TEXTS))
    plain, expected = KaleidoBertScorer.from_pretrained(tmp_path, memory=False), scorer.without_memory()
    assert plain.memory is None and plain.fingerprint == expected.fingerprint != scorer.fingerprint
    torch.testing.assert_close(plain.score(photos, TEXTS), expected.score(photos, TEXTS))


@pytest.mark.parametrize("file", [RANKING_FILE, MEMORY_FILE])
def test_a_damaged_file_is_named_with_what_to_do(scorer, tmp_path, file):
    scorer.model.save_pretrained(tmp_path)
    scorer.processor.save_pretrained(tmp_path)
    scorer.ranking.save(tmp_path)
    scorer.memory.save(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{file} is damaged.*kaleidobert fit-ranker") as error:
        KaleidoBertScorer.from_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_the_fingerprint_changes_with_every_weight_and_the_memory(scorer):
    def anew() -> str:
        return KaleidoBertScorer(scorer.model, scorer.processor, scorer.ranking, scorer.memory).fingerprint

    prints = {anew()}
    tensors = scorer.model.state_dict() | scorer.memory.state_dict()
    with torch.no_grad():
        for tensor in tensors.values():
            last = (-1,) * tensor.ndim
            tensor[last] = tensor[last] + 1
            prints.add(anew())
    assert len(tensors) > 100 and len(prints) == len(tensors) + 1
    other = scorer.with_weights(replace(scorer.weights, memory_weight=0.1)).fingerprint
    assert other not in prints
    same = scorer.with_weights(replace(scorer.weights, joint_weight={"TIR": 9.0, "ITR": 9.0})).fingerprint
    assert same in prints  # which changes no embedding


@pytest.mark.parametrize(
    "setting", [{"saliency": "none"}, {"keep_aspect": False}, {"image_mean": [0.1, 0.1, 0.1]}, {"heads": 4}]
)
def test_the_fingerprint_changes_with_what_weights_compute(tiny_config, setting):
    config, other = tiny_config(), tiny_config(**{k: v for k, v in setting.items() if k != "heads"})
    other.encoder_config.num_attention_heads = setting.get("heads", 2)
    model, same, changed = (KaleidoBertForRetrieval(each) for each in (config, tiny_config(task="retrieval"), other))
    for copy in (same, changed):
        copy.load_state_dict(model.state_dict())
    prints = [KaleidoBertScorer(each, None).fingerprint for each in (model, same, changed)]
    assert prints[0] == prints[1] != prints[2]


def test_hubness_and_enhancement_come_from_the_memory_alone(scorer, photos):
    plain = scorer.without_memory()
    images = plain.encode_images(photos)
    assert torch.equal(images.hubness, torch.zeros(4))
    expected = F.normalize(scorer.memory.pairs.images[:4].float(), dim=1)
    torch.testing.assert_close(images.embeds, expected, atol=2e-3, rtol=1e-2)
    assert not torch.allclose(scorer.encode_images(photos).embeds, images.embeds, atol=1e-3)


def test_what_stands_behind_the_mask_does_not_matter(scorer, photos):
    """A search pads the texts of a batch without knowing the tokenizer's padding."""
    images, texts = scorer.encode_images(photos), scorer.encode_texts(TEXTS)
    expected = scorer.joint_scores(texts.input_ids, texts.attention_mask, images.patch_states)
    padded = F.pad(texts.input_ids, (0, 3), value=7), F.pad(texts.attention_mask, (0, 3))
    torch.testing.assert_close(scorer.joint_scores(*padded, images.patch_states), expected)


def test_images_come_as_lists_batches_and_generators(scorer, photos):
    expected = scorer.score(photos, TEXTS)
    pixels = torch.stack([torch.from_numpy(np.array(photo)) for photo in photos])
    torch.testing.assert_close(scorer.score(pixels, TEXTS), expected)
    torch.testing.assert_close(scorer.score((photo for photo in photos), TEXTS), expected)
    with pytest.raises(InputError, match="4 images and 1 texts"):
        scorer.score(pixels, "red square bag")
    assert scorer.score([], []).shape == (0,) and scorer.rank("red", []) == []
