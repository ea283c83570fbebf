"""The sequence-to-sequence mask by two routes, the cache, and the search."""

from itertools import product
from typing import Any

import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.levels import patch_count
from kaleidobert.model import KaleidoBertForCaptioning, KaleidoBertForPreTraining
from kaleidobert.model.captioning import Limits
from kaleidobert.model.describing import detokenize
from kaleidobert.model.loading import load_model

START, END = 2, 3


@pytest.fixture(params=[0, 1], ids=["fusion0", "fusion1"])
def model(request, tiny_config):
    torch.manual_seed(0)
    captioner = KaleidoBertForCaptioning(tiny_config(fusion_layer=request.param))
    with torch.no_grad():
        for parameter in captioner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return captioner.eval()


@pytest.fixture
def batch(model, make_batch):
    made = make_batch(model.config)
    return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}


def logits(model, pixel_values, ids) -> torch.Tensor:
    return model.masked_tokens(model.kaleidobert.read(ids, model.look(pixel_values)))


def test_one_stream_under_the_whole_mask_gives_the_same_states(model, batch):
    """UniLM's mask written out: patches see patches, tokens see patches and what is on their left."""
    encoder, ids = model.kaleidobert, batch["input_ids"]
    length, patches = ids.shape[1], patch_count(model.config.level_table)
    seen = torch.zeros(length + patches, length + patches, dtype=torch.bool)
    seen[:length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
    seen[:, length:] = True
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float).min)[None, None]
    fusion = model.config.fusion_layer
    tokens = encoder._layers(encoder.bert.embeddings(ids), mask[..., :length, :length], 0, fusion)
    looks = encoder.embed_patches(encoder.patch_features(batch["pixel_values"]))
    states = encoder._layers(torch.cat([tokens, looks], dim=1), mask, fusion, None)
    read = model.kaleidobert.read(ids, model.look(batch["pixel_values"]))
    assert torch.allclose(read, states[:, :length], atol=1e-5)


def test_one_by_one_from_the_cache_is_all_at_once(model, batch):
    whole = logits(model, batch["pixel_values"], batch["input_ids"])
    cache = model.look(batch["pixel_values"])
    parts = [batch["input_ids"][:, :1], batch["input_ids"][:, 1:3], *batch["input_ids"][:, 3:].split(1, dim=1)]
    steps = torch.cat([model.masked_tokens(model.kaleidobert.read(part, cache)) for part in parts], dim=1)
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
    output = model(**batch)
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


def test_greedy_search_takes_the_likeliest_token_each_time(model, batch):
    said = model.generate(batch["pixel_values"], Limits(START, END, beams=1, shortest=0, longest=8, no_repeat=0))
    for row, tokens in enumerate(said):
        ids = torch.tensor([[START, *tokens]])
        best = logits(model, batch["pixel_values"][row : row + 1], ids)[0].argmax(dim=-1).tolist()
        assert best[: len(tokens)] == tokens and (len(tokens) == 8 or best[-1] == END)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_with_enough_beams_the_best_caption_is_found(tiny_config, make_batch, penalty):
    torch.manual_seed(1)
    model = KaleidoBertForCaptioning(tiny_config(vocab_size=8)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))  # so that what was said before matters
    pixels = make_batch(tiny_config())["pixel_values"]
    limits = Limits(START, END, (0, 1, 2), 90, shortest=1, longest=3, length_penalty=penalty, no_repeat=0)
    found = model.generate(pixels, limits)
    words = (4, 5, 6, 7)
    captions = [(a, END) for a in words] + [(a, b, END) for a, b in product(words, words)]
    captions += list(product(words, words, words))  # cut off at the longest
    for row, tokens in enumerate(found):
        scores = {}
        for caption in captions:
            steps = logits(model, pixels[row : row + 1], torch.tensor([[START, *caption[:-1]]]))[0].log_softmax(-1)
            said = [token for token in caption if token != END]
            total = sum(steps[place, token].item() for place, token in enumerate(caption))
            scores[tuple(said)] = total / (len(said) + 1) ** penalty
        assert tuple(tokens) == max(scores, key=lambda each: scores[each])


def test_beam_search_is_that_of_whole_texts_read_anew(model, batch):
    """Beams change places, and what the cache holds of them must do so, too."""
    pixels = batch["pixel_values"]
    found = model.generate(pixels, Limits(START, END, beams=4, shortest=0, longest=8, no_repeat=0))
    for row, tokens in enumerate(found):
        beams = [(0.0, (START,))]
        for _ in range(8):
            longer = [beam for beam in beams if beam[1][-1] == END]
            for score, said in beams:
                if said[-1] != END:
                    steps = logits(model, pixels[row : row + 1], torch.tensor([said]))[0, -1].log_softmax(-1)
                    longer += [(score + step, (*said, token)) for token, step in enumerate(steps.tolist())]
            beams = sorted(longer, reverse=True)[:4]
        best = max(beams, key=lambda beam: beam[0] / (len([token for token in beam[1][1:] if token != END]) + 1))
        assert tokens == [token for token in best[1][1:] if token != END]


def test_length_and_repeats_are_held(model, batch):
    banned = (0, 1, START, 4)
    for beams in (1, 3):
        limits = Limits(START, END, banned, beams, shortest=12, longest=12, no_repeat=2)
        for tokens in model.generate(batch["pixel_values"], limits):
            assert len(tokens) == 12 and not set(tokens) & {*banned, END}
            pairs = list(zip(tokens, tokens[1:], strict=False))
            assert len(set(pairs)) == len(pairs)
    assert all(len(each) <= 23 for each in model.generate(batch["pixel_values"], Limits(START, END)))  # 24 positions


def test_limits_that_cannot_be():
    with pytest.raises(InputError, match="beams is 0"):
        Limits(START, END, beams=0)
    with pytest.raises(InputError, match="captions of 5 to 4 tokens"):
        Limits(START, END, shortest=5, longest=4)


def test_it_starts_from_a_pre_training_run_and_keeps_its_head(tiny_config, batch, tmp_path):
    pretrained = KaleidoBertForPreTraining(tiny_config())
    pretrained.save_pretrained(tmp_path / "run")
    loaded: Any = KaleidoBertForCaptioning.from_pretrained(tmp_path / "run", output_loading_info=True)
    captioner, report = loaded
    assert not report["missing_keys"] and not report["unexpected_keys"]
    words = captioner.kaleidobert.bert.embeddings.word_embeddings.weight
    assert captioner.masked_tokens.decoder.weight is words
    assert torch.equal(captioner.masked_tokens.decoder.bias, pretrained.masked_tokens.decoder.bias)
    captioner.save_pretrained(tmp_path / "tuned")
    again = load_model(tmp_path / "tuned", KaleidoBertForCaptioning)
    limits = Limits(START, END, longest=6)
    assert again.generate(batch["pixel_values"], limits) == captioner.eval().generate(batch["pixel_values"], limits)


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
