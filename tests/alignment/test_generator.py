"""Words and their patches from both sources, with a captioner overfitted to eight products."""

import numpy as np
import pytest

from kaleidobert.alignment.generator import SOURCES, AlignmentGenerator, WordMap, detokenize
from kaleidobert.alignment.matching import Word, content_words
from kaleidobert.errors import InputError


def test_tokens_become_words():
    tokens = ["navy", "v", "-", "neck", "##line", "t", "-", "shirt", "with", "women", "'", "s"]
    text, spans = detokenize(tokens)
    assert text == "navy v-neckline t-shirt with women's"
    pieces = [text[start:end] for start, end in spans]
    assert pieces == [token.removeprefix("##") for token in tokens]


def test_teacher_forcing_gives_every_content_word_a_map(captioner, tokenizer, eight):
    pixels, texts = eight
    generator = AlignmentGenerator(captioner, tokenizer, "teacher")
    for text, maps in zip(texts, generator.word_maps(pixels, texts), strict=True):
        assert [each.word for each in maps] == content_words(text)
        assert all(each.attention.shape == (7, 7) for each in maps)
        assert np.allclose([each.attention.sum() for each in maps], 1, atol=1e-5)
        assert ["".join(each.tokens).replace("##", "") for each in maps] == [each.word.text for each in maps]


def test_a_correct_caption_gives_the_pairs_of_teacher_forcing(captioner, tokenizer, eight):
    pixels, texts = eight
    taught, captioned = (AlignmentGenerator(captioner, tokenizer, source)(pixels, texts) for source in SOURCES)
    assert [[(pair.word, pair.level, pair.patch) for pair in pairs] for pairs in taught] == [
        [(pair.word, pair.level, pair.patch) for pair in pairs] for pairs in captioned
    ]


def test_words_missing_from_the_caption_have_no_pair(captioner, tokenizer, eight):
    pixels, texts = eight
    first = texts[0].split()[0]
    generator = AlignmentGenerator(captioner, tokenizer, "caption", least_lift=0)
    (pairs,) = generator(pixels[:1], [f"a velvet {first.upper()} for the evening"])
    assert {pair.word for pair in pairs} == {Word(first.upper(), 9, 9 + len(first))}
    assert [pair.level for pair in pairs] == [3, 4, 5]


def test_maps_are_restricted_to_the_product(captioner, tokenizer, eight):
    pixels, texts = eight

    def upper_left(image):
        mask = np.zeros((image.height, image.width), dtype=np.float32)
        mask[: image.height // 2, : image.width // 2] = 1
        return mask

    (maps,) = AlignmentGenerator(captioner, tokenizer, detector=upper_left).word_maps(pixels[:1], texts[:1])
    (plain,) = AlignmentGenerator(captioner, tokenizer).word_maps(pixels[:1], texts[:1])
    for each, before in zip(maps, plain, strict=True):
        assert each.product_share == 0.25 and before.product_share == 1
        assert each.attention[:4, :4].sum() > 0.999 and before.attention[:4, :4].sum() < 0.9
        assert each.attention.sum() == pytest.approx(1, abs=1e-5)
    nothing = AlignmentGenerator(captioner, tokenizer, detector=lambda _: np.zeros((56, 56), np.float32))
    (kept,) = nothing.word_maps(pixels[:1], texts[:1])
    assert all(np.allclose(one.attention, other.attention) for one, other in zip(kept, plain, strict=True))


def test_a_uniform_map_gives_no_pair_and_the_score_is_match_times_lift(captioner, tokenizer):
    even = np.full((10, 10), 0.01)
    peak = even.copy()
    peak[0, :2] += 0.2
    peak /= peak.sum()
    maps = [
        WordMap(Word("logo", 0, 4), ("logo",), even, 1.0),
        WordMap(Word("pockets", 5, 12), ("pocket", "##s"), peak, 0.8),
    ]
    pairs = AlignmentGenerator(captioner, tokenizer, grids=(5,), least_lift=1.5).pairs(maps)
    assert [(pair.word.text, pair.level, pair.patch) for pair in pairs] == [("pockets", 5, 0)]
    assert pairs[0].score == pytest.approx(0.8 * 25 * (0.44 / 1.4))


def test_a_truncated_word_has_no_map(captioner, tokenizer, eight):
    pixels, texts = eight
    text = " ".join([texts[0]] * 9)  # more than the tokenizer's 16 tokens
    (pairs,) = AlignmentGenerator(captioner, tokenizer, least_lift=0)(pixels[:1], [text])
    words = {pair.word.start for pair in pairs}
    assert words and max(words) < len(text) - len(texts[0])


def test_unknown_sources_and_levels_are_refused(captioner, tokenizer):
    with pytest.raises(InputError, match="no alignment source 'human'"):
        AlignmentGenerator(captioner, tokenizer, "human")
    with pytest.raises(InputError, match="no maps 'heat'"):
        AlignmentGenerator(captioner, tokenizer, maps="heat")
    for grids in ((), (0, 3)):
        with pytest.raises(InputError, match="levels"):
            AlignmentGenerator(captioner, tokenizer, grids=grids)
