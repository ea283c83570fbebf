"""Tokenizers trained on the catalogue: special tokens, words, and the same ids every time."""

import json
import unicodedata

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from kaleidobert.errors import InputError
from kaleidobert.model.heads import MaskedTokenHead
from kaleidobert.model.initial import text_checkpoint
from kaleidobert.model.lost_letters import lost_letters
from kaleidobert.model.tokenizer import SPECIAL_TOKENS, load_tokenizer, token_counts, train_tokenizer, trim_vocabulary

KINDS = ("wordpiece", "bpe", "unigram", "sentencepiece")
COLOURS = ("red", "green", "blue", "orange", "purple", "black", "cyan", "white")
TEXTS = [f"{colour} {shape} shirt, size {n}" for colour in COLOURS for n in (1, 2) for shape in ("circle", "square")]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return train_tokenizer(TEXTS, request.param, vocabulary=120, max_length=12)


def test_a_text_stands_between_cls_and_sep_and_comes_back(tokenizer):
    ids = tokenizer("Purple  square shirt")["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]"
    assert not set(tokens[1:-1]) & set(SPECIAL_TOKENS.values())
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == ["purple", "square", "shirt"]


def test_two_texts_are_each_closed_by_sep(tokenizer):
    encoded = tokenizer("red shirt", "blue shirt", return_token_type_ids=True)
    first, second = tokenizer("red shirt")["input_ids"], tokenizer("blue shirt")["input_ids"]
    assert encoded["input_ids"] == first + second[1:]
    assert encoded["token_type_ids"] == [0] * len(first) + [1] * (len(second) - 1)


def test_ids_survive_saving(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["red circle shirt", "a new word: zebra", "", "ÉTÉ 女"]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert [loaded(text).word_ids() for text in texts] == [tokenizer(text).word_ids() for text in texts]
    assert loaded.mask_token_id == tokenizer.mask_token_id and loaded.model_max_length == 12
    assert len(loaded) == len(tokenizer) <= 120


def test_special_tokens_come_first(tokenizer):
    """`mask_tokens` draws its random tokens behind the mask token."""
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS.values()] == [0, 1, 2, 3, 4]
    assert tokenizer.pad_token_id == 0 and tokenizer.mask_token_id == 4


def test_unknown_characters_become_unk_and_nothing_else(tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("red 女 shirt")["input_ids"])
    assert "[UNK]" in tokens
    rest = tokenizer.decode(tokenizer("red 女 shirt")["input_ids"], skip_special_tokens=True)
    assert rest.split() == ["red", "shirt"]


def test_long_texts_are_cut_and_keep_sep(tokenizer):
    ids = tokenizer("purple square " * 20, truncation=True)["input_ids"]
    assert len(ids) == 12 and ids[-1] == tokenizer.sep_token_id


def test_tokens_know_their_words(tokenizer):
    """Whole-word masking and alignment need them."""
    words = tokenizer("purple square shirt").word_ids()
    assert words[0] is None and words[-1] is None
    assert words[1:-1] == sorted(words[1:-1]) and set(words[1:-1]) == {0, 1, 2}


@pytest.mark.parametrize("vocabulary", [75, 120])  # ties at the limit, and room for all
@pytest.mark.parametrize("kind", KINDS)
def test_training_again_gives_the_same_tokenizer(kind, vocabulary):
    """Ids are what a model's embeddings are bound to."""
    states = {train_tokenizer(TEXTS, kind, vocabulary).backend_tokenizer.to_str() for _ in range(4)}
    assert len(states) == 1


def test_only_the_special_tokens_are_special(tokenizer):
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS.values())
    assert set(tokenizer.get_added_vocab()) == set(SPECIAL_TOKENS.values())


def test_a_kind_that_is_none():
    with pytest.raises(InputError, match="no tokenizer 'words'; use wordpiece, bpe"):
        train_tokenizer(TEXTS, "words")


SCRIPTS = {  # a text, and what may be cut off a letter of Latin, Greek or Cyrillic alone
    "लाल कुर्ती महिलाओं": "लाल कुर्ती महिलाओं",
    "赤いワンピース": "赤いワンピース",
    "เสื้อยืดสีแดง": "เสื้อยืดสีแดง",
    "فستان أحمر طويل": "فستان أحمر طويل",
    "한국어 원피스": "한국어 원피스",
    "Crème ΨΥΧΉ Ёлка": "creme ψυχη елка",
}


def decoded(tokenizer, text):
    """What is left of a text, without spaces, which scripts without them get back between letters."""
    tokens = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    return unicodedata.normalize("NFC", "".join(tokens.split()))


@pytest.mark.parametrize("kind", KINDS)
def test_signs_and_scripts_without_spaces_survive(kind):
    tokenizer = train_tokenizer([*SCRIPTS] * 3, kind, 400)
    for text, kept in SCRIPTS.items():
        assert decoded(tokenizer, text) == unicodedata.normalize("NFC", "".join(kept.split()))
    assert decoded(tokenizer, "ワンヱピース") == "ワンピース"  # an unknown letter does not hide the others


def test_a_trimmed_vocabulary_has_the_characters_of_its_texts(minilm):
    trimmed, old = trim_vocabulary(minilm, [*SCRIPTS] * 3, 5000)
    assert len(trimmed) == len(old) == 5000 and old[-1] == minilm.unk_token_id
    for text, kept in SCRIPTS.items():
        assert trimmed.unk_token_id not in trimmed(text)["input_ids"]
        assert decoded(trimmed, text) == unicodedata.normalize("NFC", "".join(kept.split()))


def test_a_number_of_tokens_above_the_vocabulary_s_adds_characters_alone(minilm):
    whole, old = trim_vocabulary(minilm, [*SCRIPTS] * 3, 100_000)
    unused = {index for token, index in minilm.get_vocab().items() if token.startswith("[unused")}
    assert {*range(len(minilm))} - unused <= {*old}
    assert whole.unk_token_id not in whole("赤いワンピース เสื้อยืดสีแดง")["input_ids"]


def test_a_vocabulary_for_upper_and_lower_case_gets_characters_as_well(minilm):
    state = json.loads(minilm.backend_tokenizer.to_str())
    state["normalizer"] |= {"lowercase": False, "strip_accents": False}
    cased = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **SPECIAL_TOKENS)
    trimmed, _ = trim_vocabulary(cased, ["เสื้อยืด Ünï"] * 3, 5000)
    assert decoded(trimmed, "เสื้อยืด Ünï") == "เสื้อยืดÜnï"


def test_what_a_tokenizer_as_it_was_published_loses(minilm):
    hindi, japanese, latin = "लाल कुर्ती", "赤いワンピース", "Crème ΨΥΧΉ Ёлка"
    assert lost_letters(minilm, [latin, hindi]) == (0.5, "कुर्ती")
    assert lost_letters(minilm, [japanese]) == (1.0, japanese)
    assert lost_letters(minilm, [latin, "plain"]) == lost_letters(minilm, []) == (0.0, "")
    for kind in KINDS:
        assert lost_letters(train_tokenizer([*SCRIPTS] * 3, kind, 400), [*SCRIPTS]) == (0.0, "")


@pytest.fixture(scope="module")
def minilm():
    return load_tokenizer(text_checkpoint("minilm-l6"), 32)


def test_a_trimmed_vocabulary_gives_the_same_tokens(minilm):
    """Of the texts that it was made for, alone and in pairs."""
    texts = ["Puma Men Navy Blue T-shirt", "kurtis & chudidars, ombré", "100% cotton: 2-pack (XL)", "antidisestablish"]
    trimmed, old = trim_vocabulary(minilm, texts, 5000)
    assert len(trimmed) == len(old) == 5000 < len(minilm)
    for text in texts:
        assert [old[index] for index in trimmed(text)["input_ids"]] == minilm(text)["input_ids"]
        assert trimmed.decode(trimmed(text)["input_ids"]) == minilm.decode(minilm(text)["input_ids"])
    found, expected = (each(texts[0], texts[1], return_token_type_ids=True) for each in (trimmed, minilm))
    assert [old[index] for index in found["input_ids"]] == expected["input_ids"]
    assert found["token_type_ids"] == expected["token_type_ids"]
    for index, name in ((each, trimmed.convert_ids_to_tokens(each)) for each in range(0, 5000, 97)):
        assert minilm.convert_tokens_to_ids(name) == old[index]
    assert trimmed.pad_token == "[PAD]" and trimmed.mask_token == "[MASK]" and trimmed.model_max_length == 32


def test_a_trimmed_vocabulary_spells_words_that_it_lacks(minilm):
    """No word becomes [UNK] that was none before, and frequent words stay whole."""
    trimmed, _ = trim_vocabulary(minilm, ["a"], 6000)
    words = ["dress", "palaeontology", "zebra", "naïve", "ψυχή", "日本"]
    for word in words:
        known = minilm.unk_token_id not in minilm(word)["input_ids"]
        assert (trimmed.unk_token_id not in trimmed(word)["input_ids"]) == known, word
    assert len(trimmed("dress")["input_ids"]) == 3 < len(trimmed("palaeontology")["input_ids"]) - 3


def test_a_vocabulary_smaller_than_its_texts_need_keeps_their_tokens(minilm):
    trimmed, old = trim_vocabulary(minilm, ["navy blue"], 5)
    assert (
        len(trimmed) > 5
        and [old[index] for index in trimmed("navy blue")["input_ids"]] == minilm("navy blue").input_ids
    )


def test_a_trimmed_tokenizer_survives_saving(minilm, tmp_path):
    trimmed, _ = trim_vocabulary(minilm, ["navy blue"], 2500)
    trimmed.save_pretrained(tmp_path)
    assert (
        load_tokenizer(str(tmp_path), 32)("a navy blue tote")["input_ids"] == trimmed("a navy blue tote")["input_ids"]
    )


def test_only_wordpiece_is_trimmed():
    other = train_tokenizer(["navy blue"], "bpe", 50)
    with pytest.raises(InputError, match="only WordPiece can be trimmed, not BPE; set tokenizer.vocabulary=null"):
        trim_vocabulary(other, ["navy blue"], 20)


def test_a_new_model_predicts_tokens_by_their_frequency(tiny_config):
    texts = ["red shirt", "red shoe", "blue shoe"]
    tokenizer = train_tokenizer(texts, vocabulary=60, max_length=16)
    counts = token_counts(tokenizer, texts)
    assert counts[tokenizer.convert_tokens_to_ids("[CLS]")] == 3 and counts[tokenizer.pad_token_id] == 0
    head = MaskedTokenHead(tiny_config().encoder_config)
    head.start_from_frequencies([*counts, *[0] * (len(head.decoder.bias) - len(counts))])
    chances = head.decoder.bias.exp()
    assert chances.sum().item() == pytest.approx(1)
    assert (chances[tokenizer.cls_token_id] / chances[tokenizer.pad_token_id]).item() == pytest.approx(4)
