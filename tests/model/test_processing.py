import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoTokenizer

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.tokenizer import SPECIAL_TOKENS, train_tokenizer

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


@pytest.fixture
def photo():
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 30, 39, 49), fill=(200, 40, 40))
    return image


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_lock_and_pixel_values_are_the_same_picture(photo, keep_aspect):
    processor = KaleidoBertImageProcessor(32, "border-colour", keep_aspect)
    locked = processor.lock(photo)
    assert locked.shape == (32, 32, 3) and locked.dtype == np.uint8
    pixels = processor(photo)["pixel_values"]
    assert pixels.shape == (1, 3, 32, 32) and pixels.dtype == torch.float32
    assert np.array_equal((pixels[0].permute(1, 2, 0) * 255).round().byte().numpy(), locked)
    assert pixels.max() <= 1 and pixels.min() >= 0
    red = (locked[:, :, 1] < 120).mean()
    assert red > 0.8 if not keep_aspect else 0.45 < red < 0.7  # 30 x 20 pixels, in a square or stretched


def test_without_saliency_the_whole_photo_is_locked(photo):
    locked = KaleidoBertImageProcessor(40, "none", keep_aspect=False).lock(photo)
    expected = photo.resize((40, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(locked, np.asarray(expected))


def test_grey_and_palette_photos(photo):
    processor = KaleidoBertImageProcessor(16)
    batch = processor([photo, photo.convert("L"), photo.convert("P")])["pixel_values"]
    assert batch.shape == (3, 3, 16, 16)
    assert torch.equal(batch[1, 0], batch[1, 2])
    torch.testing.assert_close(batch[2], batch[0], atol=0.1, rtol=0)


def test_a_detector_that_is_none():
    with pytest.raises(InputError, match="no saliency detector 'eyes'"):
        KaleidoBertImageProcessor(saliency="eyes")


def test_processor_gives_each_side_what_it_needs(photo):
    tokenizer = train_tokenizer(TEXTS, vocabulary=120, max_length=12)
    processor = KaleidoBertProcessor(KaleidoBertImageProcessor(24), tokenizer)
    both = processor(images=[photo, photo], text=["red circle", "blue circle shirt"])
    assert set(both) == {"pixel_values", "input_ids", "attention_mask"}
    assert both["input_ids"].shape == both["attention_mask"].shape == (2, 5)
    assert both["attention_mask"].sum(dim=1).tolist() == [4, 5]
    assert set(processor(images=photo)) == {"pixel_values"}
    assert set(processor(text="red circle")) == {"input_ids", "attention_mask"}
    with pytest.raises(InputError, match="nothing to process"):
        processor()
