"""Show, Attend and Tell: attention maps, beam search, overfitting, saving."""

from itertools import product

import pytest
import torch

from kaleidobert.alignment.beam_search import generate
from kaleidobert.alignment.captioner import Captioner, CaptionerConfig, doubly_stochastic
from kaleidobert.errors import InputError


def encode(tokenizer, texts):
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"]


def test_it_reproduces_the_texts_that_it_was_overfitted_to(captioner, tokenizer, eight):
    pixels, texts = eight
    captions = generate(captioner, pixels, beams=3)
    assert [tokenizer.decode(caption.token_ids) for caption in captions] == texts


def test_every_token_has_a_map_that_sums_to_one(captioner, tokenizer, eight):
    pixels, texts = eight
    for caption in generate(captioner, pixels):
        assert caption.attentions.shape == (len(caption.token_ids), 7, 7)
        assert torch.allclose(caption.attentions.sum((1, 2)), torch.ones(len(caption.token_ids)))
    ids, mask = encode(tokenizer, texts)
    attentions = captioner(pixels, ids, mask).attentions
    assert attentions.shape == (8, ids.shape[1] - 1, 7, 7) and (attentions >= 0).all()
    assert torch.allclose(attentions.sum((2, 3)), torch.ones(8, ids.shape[1] - 1))


def test_evidence_is_what_a_location_alone_predicts_for_the_token(captioner, tokenizer, eight):
    pixels, texts = eight
    ids, mask = encode(tokenizer, texts)
    output = captioner(pixels, ids, mask)
    assert torch.allclose(output.evidence.sum((2, 3)), torch.ones(8, ids.shape[1] - 1))
    vectors = captioner.annotate(pixels).vectors
    scores = (captioner.from_context(vectors[2]) @ captioner.output.weight[ids[2, 2]]).exp()  # (L,)
    assert torch.allclose(output.evidence[2, 1].flatten(), scores / scores.sum(), atol=1e-5)
    (caption,) = generate(captioner, pixels[2:3])
    assert torch.allclose(caption.evidence[1], output.evidence[2, 1], atol=1e-5)


def test_locations_learn_to_predict_words_without_the_lstm(eight, tokenizer, small_config):
    pixels, texts = eight
    torch.manual_seed(0)
    model = Captioner(small_config(vocab_size=len(tokenizer))).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    ids, mask = encode(tokenizer, texts)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        output = model(pixels, ids, mask, lstm_samples=0)
        assert output.logits is None and output.loss == output.word_evidence
        output.loss.backward()
        losses.append(output.loss.item())
        optimizer.step()
    words = mask[:, 1:].sum(1).float()  # words are distinct in these texts, so this is the minimum
    assert losses[-1] < 0.5 * (losses[0] + float((words * words.log()).sum() / words.sum()))
    assert model.recurrent.weight.grad is None


def test_the_lstm_gets_the_first_samples_of_a_batch(captioner, tokenizer, eight):
    pixels, texts = eight
    ids, mask = encode(tokenizer, texts)
    part, alone = captioner(pixels, ids, mask, lstm_samples=3), captioner(pixels[:3], ids[:3], mask[:3])
    assert torch.allclose(part.logits, alone.logits, atol=1e-4)
    assert part.word_evidence == captioner(pixels, ids, mask).word_evidence != alone.word_evidence


def test_teacher_forcing_of_a_caption_gives_the_maps_of_its_generation(captioner, tokenizer, eight):
    pixels, texts = eight
    ids, mask = encode(tokenizer, texts)
    taught = captioner(pixels, ids, mask).attentions
    for row, caption in enumerate(generate(captioner, pixels, beams=2)):
        assert ids[row, 1 : 1 + len(caption.token_ids)].tolist() == caption.token_ids
        assert torch.allclose(taught[row, : len(caption.token_ids)], caption.attentions, atol=1e-5)


def greedy(model, pixels):
    """Greedy search, one photo at a time, as a reference."""
    found = []
    for photo in pixels:
        annotations = model.annotate(photo[None])
        state, tokens = model.initial_state(annotations), [model.config.start_token_id]
        while len(tokens) < model.config.longest_caption:
            embedded = model.embedding(torch.tensor(tokens[-1:]))
            state, context, _ = model.step(model.from_token(embedded), annotations, state)
            tokens.append(int(model.token_logits(embedded, state.hidden, context).argmax()))
            if tokens[-1] == model.config.end_token_id:
                break
        found.append([token for token in tokens[1:] if token != model.config.end_token_id])
    return found


@torch.no_grad()
def test_one_beam_is_greedy_search(captioner, small_config):
    torch.manual_seed(1)
    pixels = torch.rand(6, 3, 56, 56)
    untrained = Captioner(small_config(vocab_size=30, longest_caption=9)).eval()
    untrained.output.bias.data[3] = 0.3  # so that some captions end
    for model in (captioner, untrained):
        assert [caption.token_ids for caption in generate(model, pixels, beams=1)] == greedy(model, pixels)


def mean_log_probability(model, pixels, caption):
    """The score of beam search: of the tokens and, if the caption is not cut off, of the end."""
    config = model.config
    tokens = torch.tensor([[config.start_token_id, *caption, config.end_token_id]])[:, : config.longest_caption]
    steps = model(pixels, tokens, torch.ones_like(tokens)).logits.log_softmax(2)
    return float(steps.gather(2, tokens[:, 1:, None]).sum()) / (len(caption) + 1)


@torch.no_grad()
def test_with_enough_beams_the_best_of_all_captions_is_found(small_config):
    torch.manual_seed(2)
    model = Captioner(small_config(vocab_size=5, longest_caption=4, start_token_id=4, end_token_id=3)).eval()
    model.output.weight.mul_(20)
    pixels = torch.rand(1, 3, 56, 56)
    captions = [list(each) for length in range(4) for each in product((0, 1, 2, 4), repeat=length)]
    (found,) = generate(model, pixels, beams=len(captions))
    assert found.token_ids == max(captions, key=lambda caption: mean_log_probability(model, pixels, caption))


def test_padding_changes_nothing(captioner, tokenizer, eight):
    pixels, texts = eight
    ids, mask = encode(tokenizer, texts)
    longer = [torch.nn.functional.pad(tensor, (0, 5)) for tensor in (ids, mask)]
    short, long = captioner(pixels, ids, mask), captioner(pixels, *longer)
    assert torch.allclose(short.loss, long.loss, atol=1e-5)
    assert torch.allclose(short.attentions, long.attentions[:, : ids.shape[1] - 1], atol=1e-6)


def test_a_saved_captioner_gives_the_same_maps(captioner, tokenizer, eight, tmp_path):
    pixels, texts = eight
    captioner.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file() and (tmp_path / "config.json").is_file()
    loaded = Captioner.from_pretrained(tmp_path).eval()
    assert loaded.fingerprint() == captioner.fingerprint()
    ids, mask = encode(tokenizer, texts)
    assert torch.equal(loaded(pixels, ids, mask).attentions, captioner(pixels, ids, mask).attentions)
    with torch.no_grad():
        loaded.query.bias[0] += 1
    assert loaded.fingerprint() != captioner.fingerprint()


def test_the_regulariser_is_zero_for_evenly_spread_attention():
    targets = torch.tensor([[True, True, False]])
    even = torch.full((1, 3, 4), 0.25)
    assert doubly_stochastic(even, targets) == 0
    shared = torch.tensor([[[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [1, 0, 0, 0]]])
    assert doubly_stochastic(shared, targets) == 0  # the third is padding
    assert doubly_stochastic(torch.tensor([[[1.0, 0, 0, 0]] * 3]), targets) == pytest.approx(3)  # (3² + 3 · 1²) / 4


@pytest.mark.parametrize(("side", "cells"), [(80, 10), (224, 14)])
def test_default_maps_are_fine_enough(side, cells):
    model = Captioner(CaptionerConfig(image_size=side, vocab_size=20)).eval()
    assert model.annotate(torch.rand(1, 3, side, side)).shape == (cells, cells)


def test_a_coarse_map_and_no_beams_are_refused(small_config):
    model = Captioner(small_config(vocab_size=20)).eval()
    with pytest.raises(InputError, match="5 x 5"):
        model.annotate(torch.rand(1, 3, 40, 40))
    with pytest.raises(InputError, match="beams is 0"):
        generate(model, torch.rand(1, 3, 56, 56), beams=0)
