"""The image processor keeps the manners of `transformers`: inputs, names, tensors, saving."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoImageProcessor
from transformers.image_processing_utils import BaseImageProcessor

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertImageProcessor


@pytest.fixture
def photo():
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 30, 39, 49), fill=(200, 40, 40))
    return image


def pixel_values(processor, images, **settings):
    return processor(images, **settings)["pixel_values"]


# --- the locked portion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_lock_and_pixel_values_are_the_same_picture(photo, keep_aspect):
    processor = KaleidoBertImageProcessor(32, "border-colour", keep_aspect)
    locked = processor.lock(photo)
    assert locked.shape == (32, 32, 3) and locked.dtype == np.uint8
    pixels = processor(photo)["pixel_values"]
    assert pixels.shape == (1, 3, 32, 32) and pixels.dtype == torch.float32
    assert torch.equal(pixels[0], torch.from_numpy(locked.copy()).permute(2, 0, 1).float() / 255)
    assert pixels.max() <= 1 and pixels.min() >= 0
    red = (locked[:, :, 1] < 120).mean()
    assert red > 0.8 if not keep_aspect else 0.45 < red < 0.7  # 30 x 20 pixels, in a square or stretched


def test_without_saliency_the_whole_photo_is_locked(photo):
    locked = KaleidoBertImageProcessor(40, "none", keep_aspect=False).lock(photo)
    expected = photo.resize((40, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(locked, np.asarray(expected))


def test_an_unknown_detector_is_refused(photo):
    with pytest.raises(InputError, match="no saliency detector 'eyes'"):
        KaleidoBertImageProcessor(saliency="eyes")
    with pytest.raises(InputError, match="no saliency detector 'eyes'"):
        KaleidoBertImageProcessor()(photo, saliency="eyes")


# --- inputs ----------------------------------------------------------------------------------------------

FORMS = {
    "PIL": lambda photo: photo,
    "uint8 HWC": lambda photo: np.asarray(photo),
    "uint8 CHW": lambda photo: np.asarray(photo).transpose(2, 0, 1),
    "float32 HWC": lambda photo: np.asarray(photo, dtype=np.float32) / 255,
    "float64 CHW": lambda photo: np.asarray(photo).transpose(2, 0, 1) / 255,
    "tensor uint8 CHW": lambda photo: torch.from_numpy(np.array(photo)).permute(2, 0, 1),
    "tensor float32 HWC": lambda photo: torch.from_numpy(np.array(photo)) / 255,
    "tensor bfloat16 with gradient": lambda photo: (
        torch.from_numpy(np.array(photo)).permute(2, 0, 1).div(255).bfloat16().requires_grad_()
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_pixels(photo, form):
    processor = KaleidoBertImageProcessor(24)
    expected, given = pixel_values(processor, photo), FORMS[form](photo)
    tolerance = 2 / 255 if "bfloat16" in form else 0  # eight bits of mantissa
    for images in (given, [given], (given,), [[given]]):
        torch.testing.assert_close(pixel_values(processor, images), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("batch", [np.stack, lambda images: torch.from_numpy(np.stack(images))])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)], ids=["HWC", "CHW"])
def test_batches_are_taken_apart(photo, batch, axes):
    processor = KaleidoBertImageProcessor(24)
    photos = [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    given = batch([np.asarray(each).transpose(axes) for each in photos])
    assert torch.equal(pixel_values(processor, given), pixel_values(processor, photos))


def test_paths_and_mixed_lists(photo, tmp_path):
    processor = KaleidoBertImageProcessor(24)
    photo.save(tmp_path / "photo.png")
    expected = pixel_values(processor, photo)
    assert torch.equal(pixel_values(processor, tmp_path / "photo.png"), expected)
    assert torch.equal(pixel_values(processor, str(tmp_path / "photo.png")), expected)
    mixed = [photo, tmp_path / "photo.png", np.asarray(photo)]
    assert torch.equal(pixel_values(processor, mixed), expected.expand(3, -1, -1, -1))
    with pytest.raises(InputError, match="gone.png: no such file"):
        processor(tmp_path / "gone.png")


def test_grey_palette_and_one_channel(photo):
    processor = KaleidoBertImageProcessor(16)
    grey = photo.convert("L")
    batch = pixel_values(processor, [photo, grey, photo.convert("P")])
    assert batch.shape == (3, 3, 16, 16)
    assert torch.equal(batch[1, 0], batch[1, 2])
    torch.testing.assert_close(batch[2], batch[0], atol=0.1, rtol=0)
    for array in (np.asarray(grey), np.asarray(grey)[None], np.asarray(grey)[..., None]):
        assert torch.equal(pixel_values(processor, array)[0], batch[1])


def test_exif_orientation_is_applied_to_pil_images_and_paths(photo, tmp_path):
    processor = KaleidoBertImageProcessor(24)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    photo.rotate(90, expand=True).save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as stored:
        assert stored.size == (80, 60)
        assert torch.equal(pixel_values(processor, stored), pixel_values(processor, photo))
    assert torch.equal(pixel_values(processor, tmp_path / "photo.png"), pixel_values(processor, photo))


def test_transparency_is_composited_on_white(photo):
    processor = KaleidoBertImageProcessor(24)
    layered = photo.copy()
    layered.paste((0, 0, 0), (50, 0, 60, 80))  # black, but transparent
    layered.putalpha(Image.new("L", photo.size, 255))
    layered.paste((0, 0, 0, 0), (50, 0, 60, 80))
    expected = pixel_values(processor, photo)
    for given in (layered, np.asarray(layered), torch.from_numpy(np.array(layered)).permute(2, 0, 1) / 255):
        assert torch.equal(pixel_values(processor, given), expected)


def test_the_layout_of_an_ambiguous_array_can_be_given(photo):
    array = np.asarray(photo)[20:60, 8:11]  # (40, 3, 3): three columns
    processor = KaleidoBertImageProcessor(8, "none", keep_aspect=False)
    last = pixel_values(processor, array, input_data_format="channels_last")
    assert torch.equal(last, pixel_values(processor, Image.fromarray(array)))
    flipped = array.transpose(1, 0, 2)  # (3, 40, 3): either axis could be the channels
    as_first = pixel_values(processor, flipped, input_data_format="channels_first")
    as_last = pixel_values(processor, flipped, input_data_format="channels_last")
    assert not torch.equal(as_first, as_last)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((8, 8, 3), 200.0), r"must lie in \[0, 1\]; divide it by 255"),
        (np.full((8, 8, 3), np.nan), r"must lie in \[0, 1\]"),
        (np.zeros((8, 8, 3), np.int64), "not int64"),
        (np.zeros((8, 8, 2), np.uint8), r"1, 3 or 4 channels; its shape is \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), r"no pixels: its shape is \(0, 8, 3\)"),
        (np.zeros((8, 0)), r"no pixels: its shape is \(8, 0\)"),
        (Image.new("RGB", (0, 8)), "no pixels: it is 0 x 8"),
        (np.zeros(8, np.uint8), r"1, 3 or 4 channels; its shape is \(8,\)"),
    ],
    ids=["0 to 255", "nan", "int64", "channels", "no rows", "no columns", "empty", "one axis"],
)
def test_arrays_that_are_not_images_are_refused(image, message):
    with pytest.raises(InputError, match=message):
        KaleidoBertImageProcessor(8)(image)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="PIL image, array, tensor or path, not int"):
        KaleidoBertImageProcessor(8)([3])


# --- settings --------------------------------------------------------------------------------------------


def test_it_stands_on_the_library_s_base():
    assert issubclass(KaleidoBertImageProcessor, BaseImageProcessor)


@pytest.mark.parametrize("size", [24, {"height": 24, "width": 24}, (24, 24)])
def test_size_by_number_pair_or_dictionary(photo, size):
    processor = KaleidoBertImageProcessor(size)
    assert processor.size == {"height": 24, "width": 24} and processor.image_size == 24
    assert pixel_values(processor, photo).shape == (1, 3, 24, 24)
    assert torch.equal(pixel_values(KaleidoBertImageProcessor(99), photo, size=size), pixel_values(processor, photo))


@pytest.mark.parametrize("size", [{"height": 24, "width": 32}, {"shortest_edge": 24}, 0, -3])
def test_portions_are_squares(size):
    with pytest.raises(InputError, match="locked portions are squares"):
        KaleidoBertImageProcessor(size)


def test_the_image_size_is_read_only():
    with pytest.raises(AttributeError):
        KaleidoBertImageProcessor(24).image_size = 32


@pytest.mark.parametrize("return_tensors", ["pt", "np", None])
def test_return_tensors(photo, return_tensors):
    pixels = pixel_values(KaleidoBertImageProcessor(24), [photo, photo], return_tensors=return_tensors)
    kind = {"pt": torch.Tensor, "np": np.ndarray, None: list}[return_tensors]
    assert isinstance(pixels, kind) and len(pixels) == 2
    assert isinstance(pixels[0], torch.Tensor if return_tensors == "pt" else np.ndarray)
    assert pixels[0].shape == (3, 24, 24)


def test_rescaling_and_normalising(photo):
    processor = KaleidoBertImageProcessor(24)
    plain = pixel_values(processor, photo)
    assert not processor.do_normalize
    mean, std = [0.2, 0.3, 0.4], [0.5, 0.6, 0.7]
    normalised = pixel_values(processor, photo, do_normalize=True, image_mean=mean, image_std=std)
    expected = (plain - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(normalised, expected)
    raw = pixel_values(processor, photo, do_rescale=False)
    assert raw.dtype == torch.uint8 and torch.equal(raw.float() / 255, plain)
    torch.testing.assert_close(pixel_values(processor, photo, rescale_factor=2 / 255), 2 * plain)
    same = KaleidoBertImageProcessor(24, do_normalize=True, image_mean=mean, image_std=std)
    assert torch.equal(pixel_values(same, photo), normalised)


def test_other_settings_of_a_call_change_the_result(photo):
    processor = KaleidoBertImageProcessor(24)
    plain = pixel_values(processor, photo)
    for setting in ({"saliency": "none"}, {"keep_aspect": False}, {"resample": Image.Resampling.NEAREST}):
        changed = pixel_values(processor, photo, **setting)
        assert not torch.equal(changed, plain)
        assert torch.equal(changed, pixel_values(KaleidoBertImageProcessor(24, **setting), photo))
    assert torch.equal(pixel_values(processor, photo), plain)


@pytest.mark.parametrize("name", ["do_resize", "do_center_crop", "image_size", "keep_aspects"])
def test_unknown_keywords_are_refused(photo, name):
    with pytest.raises(TypeError, match=f"no setting '{name}'; it has size, saliency, keep_aspect"):
        KaleidoBertImageProcessor(24, **{name: True})
    with pytest.raises(TypeError, match=f"no setting '{name}'"):
        KaleidoBertImageProcessor(24)(photo, **{name: True})


# --- saving ----------------------------------------------------------------------------------------------


def test_saving_and_loading(photo, tmp_path):
    processor = KaleidoBertImageProcessor(24, "none", False, do_normalize=True, resample=Image.Resampling.BICUBIC)
    processor.save_pretrained(tmp_path)
    for loaded in (KaleidoBertImageProcessor.from_pretrained(tmp_path), AutoImageProcessor.from_pretrained(tmp_path)):
        assert isinstance(loaded, KaleidoBertImageProcessor)
        assert loaded.to_dict() == processor.to_dict()
        assert torch.equal(pixel_values(loaded, photo), pixel_values(processor, photo))
    assert KaleidoBertImageProcessor.from_pretrained(tmp_path, size=16).image_size == 16


def test_settings_saved_by_version_0_1_are_accepted(tmp_path):
    written = {"image_processor_type": "KaleidoBertImageProcessor"}
    written |= {"image_size": 48, "saliency": "none", "keep_aspect": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    for auto in (KaleidoBertImageProcessor, AutoImageProcessor):
        loaded = auto.from_pretrained(tmp_path)
        assert (loaded.image_size, loaded.saliency, loaded.keep_aspect) == (48, "none", False)
