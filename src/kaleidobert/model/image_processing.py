"""The image processor: photo -> locked portion -> pixel values (patent: FIG. 4)."""

# No `from __future__ import annotations`: the library merges and evaluates the annotations of the TypedDict below.

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    SizeDict,
    infer_channel_dimension_format,
)

from kaleidobert.data.images import open_photo, upright
from kaleidobert.errors import InputError
from kaleidobert.vision.locked_portion import cut_locked_portion, photo_side
from kaleidobert.vision.saliency.base import Box, locked_box
from kaleidobert.vision.saliency.detectors import check_detector, detector

ImageInput = Image.Image | np.ndarray | torch.Tensor | str | os.PathLike[str]
SERVICE_KEYS = ("image_processor_type", "processor_class")  # written beside the settings by the library


class KaleidoBertImagesKwargs(TypedDict, total=False):
    """Settings of the image processor, for the constructor and for each call."""

    size: int | list[int] | tuple[int, ...] | dict[str, int] | None
    saliency: str | None
    keep_aspect: bool | None
    resample: int | None
    do_rescale: bool | None
    rescale_factor: float | None
    do_normalize: bool | None
    image_mean: float | list[float] | tuple[float, ...] | None
    image_std: float | list[float] | tuple[float, ...] | None
    input_data_format: str | ChannelDimension | None
    return_tensors: str | None


class KaleidoBertImageProcessor(PilBackend):
    """Photos -> pixel values of their locked portions, (B, 3, S, S) float32 in [0, 1] by default.

    Args:
        size: side S of the locked portion in pixels, as an int or {"height": S, "width": S}.
        saliency: foreground detector that locks the product; see `vision.saliency.detectors.detector`.
        keep_aspect: whether to widen the box to a square instead of stretching it; see `vision.patches`.
        resample: PIL's filter for resizing.
        do_rescale, rescale_factor: multiply the pixels (0..255) by this factor.
        do_normalize, image_mean, image_std: subtract the mean, divide by the standard deviation. Off by default,
            since `KaleidoBertModel` normalises its input itself, after corrupting it.
        input_data_format: "channels_first" or "channels_last", for arrays whose shape leaves it open.
        return_tensors: "pt" (default), "np", or None for a list of arrays (3, S, S).

    Raises ``InputError`` for values out of range and ``TypeError`` for other keywords.
    """

    valid_kwargs = KaleidoBertImagesKwargs  # type: ignore[assignment]  # only what applies of the library's settings
    model_input_names = ["pixel_values"]

    size = {"height": 224, "width": 224}
    saliency = "border-colour"
    keep_aspect = True
    resample = Image.Resampling.BILINEAR
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = False
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD

    def __init__(
        self,
        size: int | dict[str, int] | None = None,
        saliency: str | None = None,
        keep_aspect: bool | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs |= {"size": size, "saliency": saliency, "keep_aspect": keep_aspect}
        kwargs = {name: value for name, value in kwargs.items() if value is not None and name not in SERVICE_KEYS}
        self._check_names(kwargs)
        super().__init__(**kwargs)

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any) -> "KaleidoBertImageProcessor":
        """Build from saved settings. ``size`` was called ``image_size`` up to version 0.1; both are accepted."""
        saved = dict(image_processor_dict)
        if "image_size" in saved:
            saved["size"] = saved.pop("image_size")
        return super().from_dict(saved, **kwargs)

    @property
    def image_size(self) -> int:
        """Side of the locked portion in pixels."""
        return self.size["height"]

    @property
    def photo_side(self) -> int:
        """The sides in pixels that a photo needs at least; see `locked_portion.photo_side`."""
        return photo_side(self.image_size)

    def foreground(self, image: Image.Image) -> np.ndarray:
        """Foreground mask (H, W) in [0, 1] of an RGB photo, by the detector named ``saliency``."""
        return detector(self.saliency)(image)

    def locked_box(self, image: Image.Image) -> tuple[Box, bool]:
        """The box that locks the product, in pixels of the photo, and whether a product was found."""
        return locked_box(self.foreground(image))

    def lock(self, image: Image.Image) -> np.ndarray:
        """RGB photo -> its locked portion (S, S, 3) uint8."""
        return self.lock_or_whole(image)[0]

    def lock_or_whole(self, image: Image.Image) -> tuple[np.ndarray, bool]:
        """The locked portion (S, S, 3) uint8, and whether a product was found; if not, it is the whole photo."""
        box, found = self.locked_box(image)
        return np.asarray(cut_locked_portion(image, box, self.image_size, self.keep_aspect, self.resample)), found

    def preprocess(self, images: ImageInput | Iterable[ImageInput], *args: Any, **kwargs: Any) -> BatchFeature:
        """Images, or paths to image files, one or a list or batch of them -> ``pixel_values``.

        Arrays and tensors are (H, W), (H, W, C), (C, H, W), or batches (B, ...) of the latter two: uint8, or floats in
        [0, 1]; C is 1 (grey), 3 (RGB) or 4 (RGBA).
        """
        self._check_names(kwargs)
        kwargs.setdefault("return_tensors", "pt")
        return super().preprocess(images, *args, **kwargs)

    def fetch_images(self, images: Any) -> Any:
        """Open the image files among the inputs, which may be nested lists. Raises ``InputError``."""
        if isinstance(images, list | tuple):
            return [self.fetch_images(image) for image in images]
        return open_photo(images) if isinstance(images, str | os.PathLike) else images

    def _preprocess_image_like_inputs(self, images: Any, *_: Any, **kwargs: Any) -> BatchFeature:
        photos = [_as_rgb(image, kwargs["input_data_format"]) for image in _flat(self.fetch_images(images))]
        pixel_values = [self._pixel_values(photo, **kwargs) for photo in photos]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=kwargs["return_tensors"])

    def _pixel_values(
        self,
        photo: Image.Image,
        size: SizeDict,
        saliency: str,
        keep_aspect: bool,
        resample: Image.Resampling,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: tuple[float, ...],
        image_std: tuple[float, ...],
        **_: Any,
    ) -> np.ndarray:
        """RGB photo -> (3, S, S), as uint8 if it is neither rescaled nor normalised."""
        box, _found = locked_box(detector(saliency)(photo))
        portion = cut_locked_portion(photo, box, size["height"], keep_aspect, resample)
        pixels = np.asarray(portion).transpose(2, 0, 1)
        if do_rescale:
            pixels = self.rescale(pixels, rescale_factor)
        return self.normalize(pixels, image_mean, image_std) if do_normalize else pixels

    def _standardize_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        kwargs["default_to_square"] = True  # an int is a side, not the shortest edge
        settings = super()._standardize_kwargs(*args, **kwargs)
        size = settings["size"]
        if not size.height or size.height != size.width or size.height < 0:
            raise InputError(f"size is {dict(size)}; locked portions are squares: give one number of pixels above 0")
        check_detector(settings["saliency"])
        return {name: settings[name] for name in self.valid_kwargs.__annotations__}

    def _check_names(self, kwargs: dict[str, Any]) -> None:
        names = self.valid_kwargs.__annotations__
        if unknown := [name for name in kwargs if name not in names]:
            raise TypeError(f"{type(self).__name__} has no setting {unknown[0]!r}; it has {', '.join(names)}")


def to_pixel_values(locked: torch.Tensor) -> torch.Tensor:
    """Locked portions (B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [0, 1]."""
    return locked.permute(0, 3, 1, 2).float() / 255


def _flat(images: Any) -> Iterator[Any]:
    """The single images of nested lists and of batches (B, ...)."""
    if isinstance(images, list | tuple) or getattr(images, "ndim", 0) == 4:
        for each in images:
            yield from _flat(each)
    else:
        yield images


def _as_rgb(image: Any, data_format: str | ChannelDimension | None) -> Image.Image:
    """A PIL image, array or tensor as upright RGB."""
    if isinstance(image, torch.Tensor):
        image = (image.float() if image.is_floating_point() else image).detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        image = _from_array(image, data_format)
    if not isinstance(image, Image.Image):
        raise TypeError(f"an image is a PIL image, array, tensor or path, not {type(image).__name__}")
    if 0 in image.size:
        raise InputError(f"an image has no pixels: it is {image.width} x {image.height}; leave it out")
    return upright(image)


def _from_array(array: np.ndarray, data_format: str | ChannelDimension | None) -> Image.Image:
    """(H, W), (H, W, C) or (C, H, W), uint8 or floats in [0, 1] -> PIL."""
    if not array.size:
        raise InputError(f"an image has no pixels: its shape is {array.shape}; leave it out")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise InputError("an image of floats must lie in [0, 1]; divide it by 255, or pass it as uint8")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"an image must be uint8 or floats in [0, 1], not {array.dtype}")
    if array.ndim == 3:
        try:
            data_format = ChannelDimension(data_format or infer_channel_dimension_format(array, (1, 3, 4)))
        except ValueError as error:
            raise InputError(f"an image must have 1, 3 or 4 channels; its shape is {array.shape}") from error
        if data_format == ChannelDimension.FIRST:
            array = array.transpose(1, 2, 0)
        array = array[..., 0] if array.shape[2] == 1 else array
    if array.ndim != 2 and array.shape[2:] not in ((3,), (4,)):
        raise InputError(f"an image must have 1, 3 or 4 channels; its shape is {array.shape}")
    return Image.fromarray(np.ascontiguousarray(array))
