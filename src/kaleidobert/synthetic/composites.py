"""Photos with masks for training a saliency network: products on varied backgrounds (patent: FIG. 4).

A composite depends on the seed, its index and the sources alone. Each seed has its own drawn garments, so two seeds
share none.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

from kaleidobert.errors import InputError
from kaleidobert.progress import progress_bar
from kaleidobert.synthetic.backgrounds import STUDIO, varied
from kaleidobert.synthetic.catalogue import sample_look
from kaleidobert.synthetic.fabric import Array
from kaleidobert.synthetic.people import on_a_model
from kaleidobert.synthetic.render import cut_out
from kaleidobert.synthetic.scene import shadow
from kaleidobert.synthetic.surfaces import Surfaces
from kaleidobert.synthetic.things import thing

CUT_OUT = (144, 192)  # width and height of drawn garments in pixels
SHAPES = ((3, 4), (3, 4), (1, 1), (1, 1), (4, 5), (2, 3), (4, 3))  # aspect ratios of photos, width to height
WEARABLE = ("Tops", "Outerwear", "Dresses", "Bottoms")
PAIRED = ("Footwear",)
BUSY = 0.5  # share of photos with a varied background, without real products
REAL_BUSY, REAL = 0.8, 0.7  # the same with real products, and their share
Layer = tuple[Image.Image, bool]  # RGBA, and whether it is the product
CutOut = tuple[Image.Image, str]  # RGBA, cropped to the product, and its category


@dataclass
class CutOuts:
    """A seed's garments without background, RGBA with their category; each is drawn on first access.

    ``real``: products cut out of studio shots (`studio_shots`), and ``surfaces`` to set them and the garments on.
    """

    seed: int
    real: Sequence[CutOut] = ()
    surfaces: Surfaces | None = None
    count: int = 1500
    drawn: dict[int, CutOut] = field(default_factory=dict)

    def __getitem__(self, index: int) -> CutOut:
        if index not in self.drawn:
            rng = np.random.default_rng([self.seed, 1, index])
            look = sample_look(rng)
            image = cut_out(look, rng, CUT_OUT)
            self.drawn[index] = image.crop(image.getchannel("A").getbbox()), look.kind.category
        return self.drawn[index]

    def any(self, rng: np.random.Generator) -> CutOut:
        if self.real and rng.random() < REAL:
            return self.real[int(rng.integers(len(self.real)))]
        return self[int(rng.integers(self.count))]


def composites(
    count: int,
    seed: int = 0,
    busy: float | None = None,
    longest: int = 160,
    real: Sequence[CutOut] = (),
    surfaces: Surfaces | None = None,
) -> Iterator[tuple[Image.Image, Image.Image]]:
    """``count`` photos (RGB) with masks (L, 255 on the product); the longer side has ``longest`` pixels.

    ``busy``: share of photos with a varied background; the others are studio shots, half of them on pure white.
    ``real``: products cut out of studio shots, the subject of 70 % of the photos. ``surfaces``: where varied
    backgrounds come from; without it, they are drawn rooms, streets, cloth and stone.
    """
    garments = CutOuts(seed, real, surfaces)
    if busy is None:
        busy = REAL_BUSY if real else BUSY
    for index in range(count):
        yield compose(np.random.default_rng([seed, 2, index]), garments, busy, longest)


def compose(rng: np.random.Generator, garments: CutOuts, busy: float, longest: int) -> tuple[Image.Image, Image.Image]:
    """One photo and its mask."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    size = (longest * shape[0] // max(shape), longest * shape[1] // max(shape))
    is_busy = bool(rng.random() < busy)
    behind = garments.surfaces.draw if garments.surfaces else varied
    picture = behind(rng, size) if is_busy else STUDIO[int(rng.integers(len(STUDIO)))](rng, size)
    mask = np.zeros((size[1], size[0]), np.float32)
    if rng.random() < (0.5 if is_busy else 0.08):
        for _ in range(int(rng.integers(1, 4))):
            picture, mask = _pasted(picture, mask, _bystander(rng, garments, size), product=False)
    layers = _placed(_subject(rng, garments), size, rng)
    picture = _shadowed(picture, layers, rng, cast=garments.surfaces is not None)
    for layer, product in layers:
        picture, mask = _pasted(picture, mask, layer, product)
    if is_busy and garments.surfaces:
        picture = _lit(picture, rng)
    return _photographed(picture, rng), Image.fromarray((mask * 255 + 0.5).astype(np.uint8))


def _subject(rng: np.random.Generator, garments: CutOuts) -> list[Layer]:
    """The photo's subject as layers of equal size: a garment, a pair, a worn garment, or another thing."""
    if garments.real and rng.random() < REAL:
        image, category = garments.real[int(rng.integers(len(garments.real)))]
        image = _edged(image, rng)
        return [(_paired(image, rng) if rng.random() < (0.15 if category in PAIRED else 0.03) else image, True)]
    if rng.random() < 0.15:
        image = thing(rng)
        return [(_paired(image, rng) if rng.random() < 0.3 else image, True)]
    image, category = garments[int(rng.integers(garments.count))]
    if category in WEARABLE and rng.random() < 0.5:
        worn = on_a_model(image, category, rng)
        return [(worn.behind, False), (worn.garment, True), (worn.before, False)]
    if rng.random() < (0.3 if category in PAIRED else 0.04):
        image = _paired(image, rng)
    return [(image, True)]


def _edged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A cut-out with another exposure and contrast, its edge a little wider, narrower or softer than it was."""
    pixels = np.pad(np.asarray(image, np.float32) / np.float32(255), ((3, 3), (3, 3), (0, 0)), mode="edge")
    pixels[..., 3] = np.pad(pixels[3:-3, 3:-3, 3], 3)
    alpha = ndimage.gaussian_filter(pixels[..., 3], rng.uniform(0, 1.2))
    pixels[..., 3] = np.clip(0.5 + (alpha - rng.uniform(0.35, 0.65)) * rng.uniform(1, 2.5), 0, 1) * (alpha > 0.02)
    mean = pixels[..., :3].mean()
    pixels[..., :3] = (pixels[..., :3] - mean) * rng.uniform(0.7, 1.15) + mean * rng.uniform(0.75, 1.3)
    return Image.fromarray((pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8), "RGBA")


def _paired(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two copies side by side at a random distance, the second perhaps mirrored."""
    width, height = image.size
    gap = int(width * rng.uniform(-0.1, 0.5))
    drop = int(height * rng.uniform(0, 0.3))
    pair = Image.new("RGBA", (2 * width + max(gap, 0), height + drop))
    second = ImageOps.mirror(image) if rng.random() < 0.5 else image
    pair.alpha_composite(image, (0, 0))
    pair.alpha_composite(second, (width + gap, drop))
    return pair


def _placed(layers: list[Layer], size: tuple[int, int], rng: np.random.Generator) -> list[Layer]:
    """The layers, rotated, mirrored, scaled and shifted by the same amounts, at the photo's size.

    The product fills 35% to 105% of the photo's width or height, whichever it reaches first, and may be cut off.
    """
    spread = rng.choice((4.0, 25.0, 180.0), p=(0.75, 0.15, 0.10)) if len(layers) == 1 else 4.0
    angle, flip = rng.normal() * spread / 2, rng.random() < 0.5
    turned = [_turned(layer, angle, bool(flip)) for layer, _ in layers]
    product = next(image for image, (_, is_product) in zip(turned, layers, strict=True) if is_product)
    x1, y1, x2, y2 = product.getchannel("A").getbbox() or (0, 0, *product.size)
    fill = rng.uniform(0.6, 1.0) if rng.random() < 0.7 else rng.uniform(0.35, 1.05)
    scale = fill * min(size[0] / (x2 - x1), size[1] / (y2 - y1))
    free = np.array([size[0] - scale * (x2 - x1), size[1] - scale * (y2 - y1)])
    reach = np.where(free > 0, free * rng.choice((0.15, 0.5, 0.6), p=(0.5, 0.35, 0.15)), 0)
    centre = np.array(size) / 2 + rng.uniform(-1, 1, 2) * reach
    corner = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - centre / scale  # of the photo, in pixels of the layers
    end = corner + np.array(size) / scale
    left, top, right, bottom = (int(edge) for edge in (*np.floor(corner), *np.ceil(end)))
    return [
        (image.crop((left, top, right, bottom)).resize(size, Image.Resampling.BILINEAR), is_product)
        for image, (_, is_product) in zip(turned, layers, strict=True)
    ]


def _turned(layer: Image.Image, angle: float, flip: bool) -> Image.Image:
    layer = ImageOps.mirror(layer) if flip else layer
    return layer.rotate(angle, Image.Resampling.BILINEAR, expand=True)


def _bystander(rng: np.random.Generator, garments: CutOuts, size: tuple[int, int]) -> Image.Image:
    """A small distractor, mostly near an edge."""
    image = thing(rng) if rng.random() < 0.7 else garments.any(rng)[0]
    image = _turned(image, rng.uniform(-180, 180), flip=False)
    scale = rng.uniform(0.08, 0.25) * max(size) / max(image.size)
    image = image.resize([max(2, int(side * scale)) for side in image.size])
    layer = Image.new("RGBA", size)
    angle = rng.uniform(0, 6.28)
    x, y = (0.5 + 0.52 * np.cos(angle)) * size[0], (0.5 + 0.52 * np.sin(angle)) * size[1]
    layer.paste(image, (int(x - image.width / 2), int(y - image.height / 2)))
    return layer


def _pasted(picture: Array, mask: Array, layer: Image.Image, product: bool) -> tuple[Array, Array]:
    """Compose an RGBA layer over a picture (3, h, w); in the mask (h, w) a product is added, other layers cover it."""
    pixels = np.asarray(layer, np.float32).transpose(2, 0, 1) / np.float32(255)
    alpha = pixels[3]
    return picture * (1 - alpha) + pixels[:3] * alpha, mask * (1 - alpha) + alpha * product


def _shadowed(picture: Array, layers: list[Layer], rng: np.random.Generator, cast: bool) -> Array:
    """Add a shadow below or behind the product to most photos; with ``cast``, half of them in a random direction."""
    if rng.random() < 0.35:
        return picture
    cover = np.max([np.asarray(layer.getchannel("A"), np.float32) for layer, _ in layers], axis=0) / np.float32(255)
    if cast and rng.random() < 0.5:
        reach, angle = rng.uniform(0, 0.07) * max(cover.shape), rng.uniform(0, 2 * np.pi)
        moved = ndimage.shift(cover, (reach * np.sin(angle), reach * np.cos(angle)), order=1)
        return picture * (1 - rng.uniform(0.2, 0.7) * ndimage.gaussian_filter(moved, rng.uniform(0.5, 7)))
    return picture * (1 - rng.uniform(0.3, 1.5) * shadow(cover, stands=bool(rng.random() < 0.5)))


def _lit(picture: Array, rng: np.random.Generator) -> Array:
    """Uneven light over the whole photo (3, h, w): from one side, or with dark corners."""
    if rng.random() < 0.5:
        return picture
    height, width = picture.shape[1:]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.35) * (np.cos(angle) * x + np.sin(angle) * y)
    light = light * (1 - rng.choice((0.0, rng.uniform(0, 0.3))) * (x * x + y * y))
    return np.clip(picture * light, 0, 1).astype(np.float32)


def _photographed(picture: Array, rng: np.random.Generator) -> Image.Image:
    """Apply random exposure, colour cast, noise, blur, low resolution and JPEG artefacts."""
    if rng.random() < 0.5:
        cast = (1 + 0.06 * rng.standard_normal((3, 1, 1))) * rng.uniform(0.8, 1.15)
        picture = np.clip(picture * cast.astype(np.float32), 0, 1) ** rng.uniform(0.75, 1.3)
    if rng.random() < 0.3:
        picture = picture + rng.uniform(0, 0.06) * rng.standard_normal(picture.shape).astype(np.float32)
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.3:
        size = image.size
        factor = rng.uniform(60, 100) / max(size)
        image = image.resize([max(8, int(side * factor)) for side in size], Image.Resampling.BILINEAR)
        image = _compressed(image, rng).resize(size, Image.Resampling.BILINEAR)
    return _compressed(image, rng)


def _compressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(35, 96)))
    return Image.open(buffer).convert("RGB")


def write_composites(
    out: Path, count: int, seed: int, real: Sequence[CutOut] = (), surfaces: Surfaces | None = None
) -> None:
    """Write ``count`` pairs as out/images/000000.jpg and out/masks/000000.png; for the rest, see `composites`.

    Raises ``InputError`` if ``count`` is not positive or ``out`` cannot be written.
    """
    if count < 1:
        raise InputError(f"--synthetic is {count}: give 1 or more")
    try:
        for name in ("images", "masks"):
            (out / name).mkdir(parents=True, exist_ok=True)
        with progress_bar() as progress:
            drawn = composites(count, seed, real=real, surfaces=surfaces)
            pairs = progress.track(drawn, count, description="drawing photos and masks")
            for index, (image, mask) in enumerate(pairs):
                image.save(out / "images" / f"{index:06d}.jpg", quality=95)
                mask.save(out / "masks" / f"{index:06d}.png")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); give another folder") from error
