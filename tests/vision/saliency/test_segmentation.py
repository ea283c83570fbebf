"""Segmentation checkpoints of `transformers` as detectors: tiny ones in the real format with known predictions."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForSemanticSegmentation,
    BertConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessorPil,
)

from kaleidobert.errors import InputError
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.vision.saliency.base import locked_box
from kaleidobert.vision.saliency.detectors import detector


def checkpoint(folder, labels, answer=None):
    """A SegFormer of a few thousand weights; with ``answer`` it predicts that class everywhere."""
    sizes = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
    names = dict(enumerate(labels))
    config = SegformerConfig(decoder_hidden_size=8, id2label=names, label2id={b: a for a, b in names.items()}, **sizes)
    model = SegformerForSemanticSegmentation(config)
    if answer is not None:
        model.decode_head.classifier.weight.data.zero_()
        model.decode_head.classifier.bias.data = torch.eye(len(labels))[answer]
    model.save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


PHOTO = Image.effect_noise((50, 70), 90).convert("RGB")


def test_the_mask_covers_the_pixels_not_classified_as_background(tmp_path):
    name = checkpoint(tmp_path / "clothes", ["Shirt", "Background", "Skirt"])
    mask = detector(name)(PHOTO)
    model = AutoModelForSemanticSegmentation.from_pretrained(name).eval()
    inputs = SegformerImageProcessorPil.from_pretrained(name)(images=PHOTO, return_tensors="pt")
    with torch.inference_mode():
        logits = torch.nn.functional.interpolate(model(**inputs).logits, (70, 50), mode="bilinear")
    expected = (logits.argmax(1)[0] != 1).numpy()
    assert mask.shape == (70, 50) and not (mask.astype(bool) & ~expected).any()


@pytest.mark.parametrize(("answer", "share"), [(0, 1.0), (1, 0.0), (2, 1.0)])
def test_every_other_class_is_foreground(tmp_path, answer, share):
    mask = detector(checkpoint(tmp_path / str(answer), ["Shirt", "Background", "Skirt"], answer))(PHOTO)
    assert mask.mean() == share
    assert locked_box(mask) == ((0, 0, 50, 70), share == 1)


def test_class_0_is_background_if_the_classes_are_unnamed(tmp_path):
    assert detector(checkpoint(tmp_path / "a", ["LABEL_0", "LABEL_1"], 0))(PHOTO).mean() == 0
    assert detector(checkpoint(tmp_path / "b", ["LABEL_0", "LABEL_1"], 1))(PHOTO).mean() == 1


def test_a_checkpoint_of_one_class_is_a_salient_object_network(tmp_path):
    assert detector(checkpoint(tmp_path / "one", ["product"], 0))(PHOTO).mean() == 1


def test_the_image_processor_accepts_a_checkpoint(tmp_path):
    processor = KaleidoBertImageProcessor(24, checkpoint(tmp_path / "clothes", ["Background", "Shirt"], 1))
    assert np.array_equal(processor.lock(PHOTO), KaleidoBertImageProcessor(24, "none").lock(PHOTO))


def test_unusable_checkpoints_are_named(tmp_path):
    rooms = checkpoint(tmp_path / "rooms", ["wall", "floor"])
    BertConfig().save_pretrained(tmp_path / "bert")
    (tmp_path / "empty").mkdir()
    reasons = {rooms: "none of its 2 classes", str(tmp_path / "bert"): "do not segment"}
    for name, reason in (reasons | {str(tmp_path / "empty"): "cannot be loaded"}).items():
        with pytest.raises(InputError, match=reason) as caught:
            detector(name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
