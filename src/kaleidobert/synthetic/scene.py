"""Backgrounds of products, studio walls and busy places, and the product's shadow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kaleidobert.synthetic.fabric import Array

Size = tuple[int, int]  # width, height


def _pixels(image: Image.Image) -> Array:
    """(3, h, w) in [0, 1]."""
    return np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)


def _grid(size: Size) -> tuple[Array, Array]:
    """Coordinates x (1, w) and y (h, 1) in [0, 1]."""
    width, height = size
    x, y = np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32)
    return x[None], y[:, None]


def studio(rng: np.random.Generator, size: Size, stands: bool) -> Array:
    """A near-white wall with soft lighting, and a floor if the product stands on one: (3, h, w)."""
    x, y = _grid(size)
    cx, cy = 0.35 + 0.3 * rng.random(), 0.3 + 0.2 * rng.random()
    light = 0.975 - 0.06 * ((x - cx) ** 2 + (y - cy) ** 2)
    if stands:
        light = light - 0.025 * np.clip((y - 0.70) * 12, 0, 1) + 0.03 * np.clip(y - 0.72, 0, 1)
    tint = 1 - 0.02 * rng.random(3)
    return (light[None] * tint[:, None, None]).astype(np.float32)


def planks(rng: np.random.Generator, size: Size) -> Array:
    """Wooden boards."""
    x, y = _grid(size)
    boards = 5 + int(rng.integers(3))
    board = np.floor(x * boards).astype(int)
    tone = (0.85 + 0.25 * rng.random(boards + 1))[board]
    phase = (6 * rng.random(boards + 1))[board]
    grain = np.sin(60 * x + 5 * np.sin(9 * y + phase) + phase) * 0.035 + np.sin(210 * x + 7 * y) * 0.015
    gap = np.abs(x * boards - np.round(x * boards)) < 0.02
    base = np.array([(0.70, 0.55, 0.40), (0.55, 0.42, 0.32), (0.78, 0.72, 0.64)][int(rng.integers(3))])
    return (base[:, None, None] * ((tone + grain) * (1 - 0.45 * gap))[None]).astype(np.float32)


def bricks(rng: np.random.Generator, size: Size) -> Array:
    """A brick wall."""
    x, y = _grid(size)
    row = y * 17
    column = x * 6 + 0.5 * (np.floor(row) % 2)
    cell = (np.floor(row) * 7 + np.floor(column) * 13).astype(int) % 64
    tone = (0.82 + 0.3 * rng.random(64))[cell]
    mortar = (np.abs(row - np.round(row)) < 0.09) | (np.abs(column - np.round(column)) < 0.03)
    base = np.array([(0.68, 0.38, 0.29), (0.78, 0.74, 0.70), (0.55, 0.42, 0.38)][int(rng.integers(3))])
    wall = base[:, None, None] * tone[None]
    return np.where(mortar[None], np.float32(0.80), wall).astype(np.float32)


def lights(rng: np.random.Generator, size: Size) -> Array:
    """Lights out of focus on a dusky street."""
    width, height = size
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(60, 120, 3)))
    for _ in range(46):
        x, y, r = rng.random() * width, rng.random() * height, (0.02 + 0.06 * rng.random()) * width
        glow = Image.new("RGB", (int(2 * r) + 1,) * 2, tuple(int(v) for v in rng.integers(120, 256, 3)))
        disc = Image.new("L", glow.size)
        ImageDraw.Draw(disc).ellipse((0, 0, *glow.size), fill=int(rng.integers(60, 170)))
        image.paste(glow, (int(x - r), int(y - r)), disc)
    return _pixels(image.filter(ImageFilter.GaussianBlur(width / 120)))


def leaves(rng: np.random.Generator, size: Size) -> Array:
    """Foliage."""
    width, height = size
    image = Image.new("RGB", size, (112, 130, 102))
    draw = ImageDraw.Draw(image)
    for _ in range(150):
        x, y = rng.random() * width, rng.random() * height
        length, angle = (0.06 + 0.10 * rng.random()) * width, 6.3 * rng.random()
        ahead = np.array([np.cos(angle), np.sin(angle)]) * length
        across = np.array([-ahead[1], ahead[0]]) * 0.28
        centre = np.array([x, y])
        leaf = np.array([centre - ahead, centre - 0.2 * ahead + across, centre + ahead, centre - 0.2 * ahead - across])
        tone = 0.6 + 0.7 * rng.random()
        draw.polygon(leaf.ravel().tolist(), fill=(int(122 * tone), int(148 * tone), int(110 * tone)))
    return _pixels(image.filter(ImageFilter.GaussianBlur(width / 90)))


def room(rng: np.random.Generator, size: Size) -> Array:
    """A room: wall, floor, a window or pictures, a plant."""
    width, height = size
    wall = [(214, 205, 192), (190, 202, 206), (206, 190, 184), (200, 206, 188)][int(rng.integers(4))]
    image = Image.new("RGB", size, wall)
    draw = ImageDraw.Draw(image)
    floor = int(height * (0.74 + 0.08 * rng.random()))
    draw.rectangle((0, floor, width, height), fill=(158, 128, 98))
    draw.rectangle((0, floor - height // 60, width, floor), fill=(236, 232, 226))
    for line in range(6):
        x = width * line / 5
        draw.line(
            (x, floor, width / 2 + (x - width / 2) * 1.8, height), fill=(136, 108, 82), width=max(1, width // 130)
        )
    x1, y1 = int(width * (0.05 + 0.5 * rng.random())), int(height * 0.08)
    w, h = int(width * 0.36), int(height * 0.40)
    draw.rectangle((x1 - 4, y1 - 4, x1 + w + 4, y1 + h + 4), fill=(244, 242, 238))
    draw.rectangle((x1, y1, x1 + w, y1 + h), fill=(170, 200, 222))
    draw.line((x1 + w // 2, y1, x1 + w // 2, y1 + h), fill=(244, 242, 238), width=max(2, width // 60))
    left = int(width * (0.82 if x1 < width * 0.3 else 0.12))
    for _ in range(16):
        tip = (left + float(rng.normal()) * width * 0.10, floor - height * (0.12 + 0.22 * float(rng.random())))
        draw.line((left, floor - height * 0.06, *tip), fill=(84, 122, 80), width=max(2, width // 45))
    draw.rectangle(
        (left - width * 0.05, floor - height * 0.07, left + width * 0.05, floor + height * 0.02), fill=(168, 104, 80)
    )
    return _pixels(image.filter(ImageFilter.GaussianBlur(width / 190)))


def street(rng: np.random.Generator, size: Size) -> Array:
    """House fronts with windows, out of focus."""
    width, height = size
    image = Image.new("RGB", size, (198, 212, 224))
    draw = ImageDraw.Draw(image)
    x = 0
    while x < width:
        w = int(width * (0.18 + 0.2 * rng.random()))
        top = int(height * 0.3 * rng.random())
        tone = rng.integers(110, 215, 3)
        draw.rectangle((x, top, x + w, height), fill=tuple(int(v) for v in tone))
        for row in range(top + height // 24, int(height * 0.78), height // 11):
            for column in range(x + width // 40, x + w - width // 24, max(6, width // 12)):
                lit = int(rng.integers(60, 240))
                draw.rectangle((column, row, column + width // 22, row + height // 18), fill=(lit, lit, int(lit * 0.9)))
        x += w
    draw.rectangle((0, int(height * 0.84), width, height), fill=(140, 140, 142))
    return _pixels(image.filter(ImageFilter.GaussianBlur(width / 110)))


BUSY: tuple[Callable[[np.random.Generator, Size], Array], ...] = (planks, bricks, lights, leaves, room, street)


def shadow(cover: Array, stands: bool) -> Array:
    """The product's shadow (h, w) on the background or floor; 0 is none, 1 black."""
    height, width = cover.shape
    mask = Image.fromarray((cover * 255).astype(np.uint8))
    wall = Image.new("L", mask.size)
    if not stands:
        wall.paste(mask, (width // 40, width // 28))
        return np.asarray(wall.filter(ImageFilter.GaussianBlur(width / 34)), np.float32) * np.float32(0.24 / 255)
    box = mask.getbbox()
    if box is None:
        return np.zeros_like(cover)
    tall = max(3, (box[3] - box[1]) // 7)
    flat = mask.crop(box).resize((box[2] - box[0], tall), Image.Resampling.BILINEAR)
    wall.paste(flat, (box[0] + width // 50, box[3] - int(tall * 0.62)))
    near = np.asarray(wall.filter(ImageFilter.GaussianBlur(width / 80)), np.float32)
    far = np.asarray(wall.filter(ImageFilter.GaussianBlur(width / 22)), np.float32)
    return (0.34 * near + 0.22 * far) / np.float32(255)
