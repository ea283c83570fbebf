"""The sequence-to-sequence mask by two routes, the cache, and the search."""

from itertools import product
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from kaleidobert.levels import patch_count
from kaleidobert.model import KaleidoBertForCaptioning, KaleidoBertForPreTraining
from kaleidobert.model.describing import detokenize
from kaleidobert.model.loading import load_model

START, END, PAD = 2, 3, 0
SPECIAL = [0, 1, 2, 4]


@pytest.fixture(params=[0, 1], ids=["fusion0", "fusion1"])
def model(request, tiny_config):
    torch.manual_seed(0)
    captioner = KaleidoBertForCaptioning(tiny_config(fusion_layer=request.param))
    with torch.no_grad():
        for parameter in captioner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    captioner.set_special_tokens(START, END, PAD, SPECIAL)
    return captioner.eval()


@pytest.fixture
def batch(model, make_batch):
    made = make_batch(model.config)
    return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}


def logits(model, pixel_values, ids) -> torch.Tensor:
    return model(ids, pixel_values).logits


def prefix(model, pixel_values):
    encoder = model.kaleidobert
    return encoder.encode_prefix(encoder.embed_patches(encoder.patch_features(pixel_values)))


def test_one_stream_under_the_whole_mask_gives_the_same_states(model, batch):
    """UniLM's mask written out: patches see patches, tokens see patches and what is on their left."""
    encoder, ids = model.kaleidobert, batch["input_ids"]
    length, patches = ids.shape[1], patch_count(model.config.level_table)
    seen = torch.zeros(length + patches, length + patches, dtype=torch.bool)
    seen[:length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
    seen[:, length:] = True
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float).min)[None, None]
    fusion = model.config.fusion_layer
    states, layers = encoder.bert.embeddings(ids), encoder.bert.encoder.layer
    for layer in layers[:fusion]:
        states = layer(states, mask[..., :length, :length])
    states = torch.cat([states, encoder.embed_patches(encoder.patch_features(batch["pixel_values"]))], dim=1)
    for layer in layers[fusion:]:
        states = layer(states, mask)
    decoded = encoder.decode_step(ids, prefix(model, batch["pixel_values"]))
    assert torch.allclose(decoded, states[:, :length], atol=1e-5)


def test_one_by_one_from_the_cache_is_all_at_once(model, batch):
    whole = logits(model, batch["pixel_values"], batch["input_ids"])
    cache = prefix(model, batch["pixel_values"])
    parts = [batch["input_ids"][:, :1], batch["input_ids"][:, 1:3], *batch["input_ids"][:, 3:].split(1, dim=1)]
    steps = torch.cat([model(part, past_key_values=cache).logits for part in parts], dim=1)
    assert torch.allclose(whole, steps, atol=1e-5)


def test_a_token_sees_the_photo_and_its_left_alone(model, batch):
    ids = batch["input_ids"]
    before = logits(model, batch["pixel_values"], ids)
    changed = ids.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 50
    after = logits(model, batch["pixel_values"], changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert all(not torch.equal(before[:, place], after[:, place]) for place in range(4, ids.shape[1]))
    assert not torch.allclose(before[:, 0], logits(model, 1 - batch["pixel_values"], ids)[:, 0], atol=1e-4)


def test_the_loss_is_of_each_next_token_without_padding(model, batch):
    output = model(**batch, labels=batch["input_ids"])
    guesses = logits(model, batch["pixel_values"], batch["input_ids"])
    losses = [
        torch.nn.functional.cross_entropy(guesses[row, place], batch["input_ids"][row, place + 1])
        for row, length in enumerate(batch["attention_mask"].sum(dim=1).tolist())
        for place in range(length - 1)
    ]
    assert len(losses) < batch["input_ids"][:, 1:].numel()  # one text is padded
    assert output.loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
    output.loss.backward()
    assert model.kaleidobert.patch_encoder.backbone.embedder.embedder.convolution.weight.grad.abs().sum() > 0


def generated(model, pixels, **kwargs) -> list[list[int]]:
    """Token ids between start and end."""
    return [[each for each in row.tolist()[1:] if each not in (END, PAD)] for row in model.generate(pixels, **kwargs)]


def test_greedy_search_takes_the_likeliest_token_each_time(model, batch):
    pixels = batch["pixel_values"]
    free = {"num_beams": 1, "min_new_tokens": None, "no_repeat_ngram_size": 0}
    for row, tokens in enumerate(generated(model, pixels, max_new_tokens=8, **free)):
        ids = torch.tensor([[START, *tokens]])
        best = logits(model, pixels[row : row + 1], ids)[0].argmax(dim=-1).tolist()
        assert best[: len(tokens)] == tokens and (len(tokens) == 8 or best[-1] == END)


def test_with_enough_beams_the_best_caption_is_found(tiny_config, make_batch):
    torch.manual_seed(1)
    model = KaleidoBertForCaptioning(tiny_config(vocab_size=8)).eval()
    model.set_special_tokens(START, END, PAD, [0, 1, 2])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))  # so that earlier tokens matter
    pixels = make_batch(tiny_config())["pixel_values"]
    limits = {"num_beams": 90, "max_new_tokens": 3, "min_new_tokens": 2, "length_penalty": 0.0}
    found = generated(model, pixels, **limits, no_repeat_ngram_size=0, early_stopping="never")
    words = (4, 5, 6, 7)
    captions = [(a, END) for a in words] + [(a, b, END) for a, b in product(words, words)]
    captions += list(product(words, words, words))  # cut off at the longest
    for row, tokens in enumerate(found):
        scores = {}
        for caption in captions:
            steps = logits(model, pixels[row : row + 1], torch.tensor([[START, *caption[:-1]]]))[0].log_softmax(-1)
            total = sum(steps[place, token].item() for place, token in enumerate(caption))
            scores[tuple(token for token in caption if token != END)] = total
        assert tuple(tokens) == max(scores, key=lambda each: scores[each])


def test_beam_search_is_that_of_whole_texts_encoded_anew(model, batch):
    """Beams change places, and the cache must follow them."""
    pixels = batch["pixel_values"]
    limits = {"num_beams": 4, "max_new_tokens": 6, "min_new_tokens": 6, "no_repeat_ngram_size": 0}
    found = generated(model, pixels, **limits)
    for row, tokens in enumerate(found):
        beams = [(0.0, (START,))]
        for _ in range(6):
            longer = []
            for score, before in beams:
                steps = logits(model, pixels[row : row + 1], torch.tensor([before]))[0, -1].log_softmax(-1)
                steps[[END, *SPECIAL]] = float("-inf")
                longer += [(score + step, (*before, token)) for token, step in enumerate(steps.tolist())]
            beams = sorted(longer, reverse=True)[:4]
        assert tokens == list(beams[0][1][1:])


def test_generate_has_the_library_s_signature(model, batch):
    """Output objects, several captions a photo, a `GenerationConfig`, sampling, a beginning that is given."""
    pixels = batch["pixel_values"]
    output = model.generate(pixels, return_dict_in_generate=True, output_scores=True, max_new_tokens=5)
    assert output.sequences.shape[0] == 4 and output.sequences_scores.shape == (4,)
    several = model.generate(pixels, num_beams=4, num_return_sequences=2, max_new_tokens=5)
    assert several.shape[0] == 8
    chosen = GenerationConfig(
        num_beams=1, max_new_tokens=7, min_new_tokens=7, bos_token_id=START, eos_token_id=END, pad_token_id=PAD
    )
    assert model.generate(pixels, chosen).shape == (4, 8)
    torch.manual_seed(0)
    drawn = model.generate(pixels, do_sample=True, num_beams=1, max_new_tokens=8, min_new_tokens=8)
    assert not torch.equal(drawn, model.generate(pixels, num_beams=1, max_new_tokens=8, min_new_tokens=8))
    begun = model.generate(pixels, input_ids=torch.tensor([[START, 9]] * 4), max_new_tokens=3)
    assert (begun[:, 1] == 9).all()


def test_length_repeats_and_special_tokens_are_held(model, batch):
    model.set_special_tokens(START, END, PAD, [0, 1, START, 4])
    for beams in (1, 3):
        limits = {"num_beams": beams, "min_new_tokens": 12, "max_new_tokens": 12, "no_repeat_ngram_size": 2}
        for tokens in generated(model, batch["pixel_values"], **limits):
            assert len(tokens) == 12 and not set(tokens) & {0, 1, START, 4, END}
            pairs = list(zip(tokens, tokens[1:], strict=False))
            assert len(set(pairs)) == len(pairs)
    assert model.generate(batch["pixel_values"]).shape[1] <= 24  # the encoder's positions


def test_it_starts_from_a_pre_training_run_and_keeps_its_head(tiny_config, batch, tmp_path):
    pretrained = KaleidoBertForPreTraining(tiny_config())
    pretrained.save_pretrained(tmp_path / "run")
    loaded: Any = KaleidoBertForCaptioning.from_pretrained(tmp_path / "run", output_loading_info=True)
    captioner, report = loaded
    assert not report["missing_keys"] and not report["unexpected_keys"]
    words = captioner.kaleidobert.bert.embeddings.word_embeddings.weight
    assert captioner.lm_head.decoder.weight is words
    assert torch.equal(captioner.lm_head.decoder.bias, pretrained.lm_head.decoder.bias)
    captioner.set_special_tokens(START, END, PAD, SPECIAL)
    captioner.save_pretrained(tmp_path / "tuned")
    again = load_model(tmp_path / "tuned", KaleidoBertForCaptioning)
    expected = captioner.eval().generate(batch["pixel_values"], max_new_tokens=6)
    assert torch.equal(again.generate(batch["pixel_values"], max_new_tokens=6), expected)


def test_without_a_photo_it_says_what_it_needs(model, batch):
    with pytest.raises(ValueError, match="pixel_values or patch_states"):
        model(batch["input_ids"])


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("puma men ' s t - shirt", "puma men's t-shirt"),
        ("lotto socks ( pack of 3 )", "lotto socks (pack of 3)"),
        ("a bag , 1 . 5 litres . red", "a bag, 1.5 litres. red"),
        ("purple & blue pyjama set", "purple & blue pyjama set"),
    ],
)
def test_spaces_around_punctuation_are_removed(said, written):
    assert detokenize(said) == written


def test_generation_without_a_cache_gives_the_same_captions(model, batch):
    pixels, limits = batch["pixel_values"], {"max_new_tokens": 8, "min_new_tokens": 8}
    for beams in (1, 3):
        expected = model.generate(pixels, num_beams=beams, **limits)
        assert torch.equal(model.generate(pixels, num_beams=beams, use_cache=False, **limits), expected)
    assert model(batch["input_ids"], pixels, use_cache=False).past_key_values is None


def test_generation_settings_of_the_model_are_kept(model, batch, tmp_path):
    model.generation_config.num_beams = 1
    model.save_pretrained(tmp_path)
    again = KaleidoBertForCaptioning.from_pretrained(tmp_path).eval()
    pixels = batch["pixel_values"]
    assert torch.equal(again.generate(pixels), model.generate(pixels, num_beams=1))
    assert again.generate(pixels, do_sample=True, num_return_sequences=5, max_new_tokens=3).shape[0] == 5 * len(pixels)


def test_scores_of_the_generated_tokens(model, batch):
    output = model.generate(
        inputs=batch["pixel_values"], num_beams=1, max_new_tokens=4, return_dict_in_generate=True, output_scores=True
    )
    scores = model.compute_transition_scores(output.sequences, output.scores, normalize_logits=True)
    assert scores.shape == (len(batch["pixel_values"]), output.sequences.shape[1] - 1) and (scores <= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_length": 99}, "the encoder has"),
        ({"input_ids": torch.tensor([[2]])}, "one prompt for each photo"),
        ({"input_ids": torch.tensor([[0, 2]] * 4), "attention_mask": torch.tensor([[0, 1]] * 4)}, "prompts are padded"),
        ({"pixel_values": None}, "pass pixel_values"),
    ],
)
def test_what_generate_refuses(model, batch, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**({"pixel_values": batch["pixel_values"]} | arguments))


def test_labels_are_what_is_learnt(model, batch):
    ids, pixels = batch["input_ids"], batch["pixel_values"]
    labels = ids.masked_fill(batch["attention_mask"] == 0, -100)
    expected = model(ids, pixels, batch["attention_mask"], labels=labels).loss
    torch.testing.assert_close(model(ids, pixels, labels=labels).loss, expected)
    assert not torch.allclose(model(ids, pixels, labels=labels.where(labels < 0, 7)).loss, expected)
