"""The processor keeps the manners of `transformers`: both sides in one call, its keywords, saving."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer, BatchFeature, ProcessorMixin

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.tokenizer import train_tokenizer

TEXTS = ["red circle shirt", "blue square bag", "red square shirt", "blue circle bag"] * 3
SHORT, LONG = "red circle", "blue circle shirt"  # 4 and 5 tokens with [CLS] and [SEP]


@pytest.fixture
def photo():
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 30, 39, 49), fill=(200, 40, 40))
    return image


@pytest.fixture(scope="module")
def processor():
    tokenizer = train_tokenizer(TEXTS, vocabulary=120, max_length=12)
    return KaleidoBertProcessor(KaleidoBertImageProcessor(24), tokenizer)


def test_processor_gives_each_side_what_it_needs(processor, photo):
    both = processor(images=[photo, photo], text=[SHORT, LONG])
    assert isinstance(processor, ProcessorMixin) and isinstance(both, BatchFeature)
    assert set(both) == {"pixel_values", "input_ids", "attention_mask"}
    assert both["input_ids"].shape == both["attention_mask"].shape == (2, 5)
    assert both["attention_mask"].sum(dim=1).tolist() == [4, 5]
    assert torch.equal(both["pixel_values"], processor.image_processor([photo, photo])["pixel_values"])
    assert set(processor(images=photo)) == {"pixel_values"}
    assert set(processor(text=SHORT)) == {"input_ids", "attention_mask"} <= set(processor.model_input_names)
    with pytest.raises(InputError, match="nothing to process"):
        processor()
    with pytest.raises(InputError, match="text is an empty list"):
        processor(text=[])


def test_texts_may_be_any_iterable_and_images_any_form(processor, photo, tmp_path):
    photo.save(tmp_path / "photo.png")
    expected = processor(images=[photo, photo], text=[SHORT, LONG])
    given = processor(images=[np.asarray(photo), tmp_path / "photo.png"], text=iter((SHORT, LONG)))
    for name, values in expected.items():
        assert torch.equal(given[name], values)


@pytest.mark.parametrize(("return_tensors", "kind"), [("pt", torch.Tensor), ("np", np.ndarray), (None, list)])
def test_return_tensors(processor, photo, return_tensors, kind):
    inputs = processor(images=[photo, photo], text=[SHORT, LONG], return_tensors=return_tensors)
    assert set(inputs) == {"pixel_values", "input_ids", "attention_mask"}
    assert all(isinstance(values, kind) and len(values) == 2 for values in inputs.values())


def test_padding(processor):
    assert processor(text=[SHORT, LONG], padding="max_length")["input_ids"].shape == (2, 12)
    assert processor(text=[SHORT, LONG], padding="max_length", max_length=9)["input_ids"].shape == (2, 9)
    ragged = processor(text=[SHORT, LONG], padding=False, return_tensors=None)["input_ids"]
    assert [len(ids) for ids in ragged] == [4, 5]
    with pytest.raises(ValueError, match="padding=True"):
        processor(text=[SHORT, LONG], padding=False)


def test_truncation_and_max_length(processor):
    text = "red circle shirt " * 10
    assert processor(text=text)["input_ids"].shape == (1, 12)  # the tokenizer's own limit
    assert processor(text=text, max_length=6)["input_ids"].shape == (1, 6)
    assert processor(text=text, truncation=False)["input_ids"].shape == (1, 32)
    assert processor(text=text, text_kwargs={"max_length": 6})["input_ids"].shape == (1, 6)


def test_the_image_processor_s_settings_pass_through(processor, photo):
    changed = processor(images=photo, text=SHORT, size=16, do_normalize=True)["pixel_values"]
    assert torch.equal(changed, processor.image_processor(photo, size=16, do_normalize=True)["pixel_values"])
    assert processor(images=photo, images_kwargs={"size": 8})["pixel_values"].shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    "keywords",
    [
        {"paddding": True},
        {"do_resize": True},
        {"videos": [1]},
        {"images_kwargs": {"do_resize": True}},
        {"text_kwargs": {"paddding": True}},
    ],
    ids=str,
)
def test_unknown_keywords_are_refused(processor, photo, keywords):
    unknown = next(
        (name for nested in keywords.values() if isinstance(nested, dict) for name in nested), [*keywords][0]
    )
    with pytest.raises(TypeError, match=f"'{unknown}'"):
        processor(images=photo, text=SHORT, **keywords)


def test_parts_in_the_wrong_order_are_refused(processor):
    with pytest.raises(TypeError, match="image_processor"):
        KaleidoBertProcessor(processor.tokenizer, processor.image_processor)


def test_decoding(processor):
    ids = processor(text=[SHORT, LONG])["input_ids"]
    assert processor.batch_decode(ids, skip_special_tokens=True) == [SHORT, LONG]
    assert processor.decode(ids[0], skip_special_tokens=True) == SHORT


@pytest.mark.parametrize("load", [KaleidoBertProcessor.from_pretrained, AutoProcessor.from_pretrained])
def test_saving_and_loading(processor, photo, tmp_path, load):
    processor.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded, KaleidoBertProcessor)
    assert loaded.image_processor.to_dict() == processor.image_processor.to_dict()
    expected = processor(images=photo, text=[SHORT, LONG])
    for name, values in loaded(images=photo, text=[SHORT, LONG]).items():
        assert torch.equal(values, expected[name])
    assert AutoImageProcessor.from_pretrained(tmp_path).to_dict() == processor.image_processor.to_dict()
    assert AutoTokenizer.from_pretrained(tmp_path)(LONG)["input_ids"] == processor.tokenizer(LONG)["input_ids"]


def test_parts_saved_one_by_one_are_a_processor(processor, photo, tmp_path):
    """A run folder holds the image processor's and the tokenizer's own files."""
    processor.image_processor.save_pretrained(tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    loaded = KaleidoBertProcessor.from_pretrained(tmp_path)
    assert torch.equal(loaded(images=photo)["pixel_values"], processor(images=photo)["pixel_values"])
