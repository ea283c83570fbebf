"""Products cut out of studio shots: what is taken, what is left out, and that no background comes along."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.synthetic.studio_shots import cut_out_of, product_mask, sources, studio_cut_outs

RED = (180, 30, 40)


def shot(draw, background=(252, 252, 250)):
    """A photo of 120 pixels, drawn at four times its size."""
    image = Image.new("RGB", (480, 480), background)
    draw(ImageDraw.Draw(image))
    buffer = io.BytesIO()
    image.resize((120, 120), Image.Resampling.BOX).save(buffer, "JPEG", quality=92, subsampling=0)
    return Image.open(buffer).convert("RGB")


def disc(draw):
    draw.ellipse((120, 120, 360, 360), fill=RED)


def test_a_disc_is_cut_out_to_a_pixel():
    mask = product_mask(shot(disc))
    y, x = np.mgrid[:120, :120] + 0.5
    true = np.hypot(x - 60, y - 60) < 30
    assert ((mask > 0.5) != true).sum() < 0.03 * true.sum()
    assert ((mask > 0.02) & (mask < 0.98)).any()  # soft at its edge


def test_no_white_comes_along_when_it_is_set_on_black():
    cut = cut_out_of(shot(disc))
    assert cut.mode == "RGBA" and abs(cut.width - 60) <= 2 and abs(cut.height - 60) <= 2
    photo = Image.new("RGB", (80, 80))
    small = cut.rotate(20, Image.Resampling.BILINEAR, expand=True)
    photo.paste(small.convert("RGB"), (2, 2), small.getchannel("A"))
    assert np.asarray(photo)[..., 1].max() < 90  # red's green is 30; any white would show


def test_holes_are_background_in_a_dark_product_but_not_in_a_light_one():
    def ring(colour):
        def draw(pen):
            pen.ellipse((100, 100, 380, 380), fill=colour)
            pen.ellipse((180, 180, 300, 300), fill=(252, 252, 250))

        return product_mask(shot(draw))

    assert ring((60, 60, 70))[60, 60] == 0
    assert ring((205, 205, 205))[60, 60] == 1


def touching(draw):
    draw.rectangle((160, 100, 320, 480), fill=RED)


def pale(draw):
    draw.ellipse((120, 120, 360, 360), fill=(240, 240, 240))


def person(draw):
    draw.rectangle((180, 40, 300, 160), fill=(214, 164, 134))
    draw.rectangle((140, 160, 340, 440), fill=(30, 60, 130))


def brown_bag(draw):
    draw.rectangle((120, 140, 360, 400), fill=(190, 130, 84))


def speck(draw):
    draw.rectangle((230, 230, 245, 245), fill=RED)


@pytest.mark.parametrize("drawing", [touching, pale, person, speck])
def test_uncertain_masks_are_left_out(drawing):
    assert product_mask(shot(drawing)) is None


def test_a_brown_bag_is_no_person_and_a_dark_studio_no_studio():
    assert product_mask(shot(brown_bag)) is not None
    assert product_mask(shot(disc, background=(120, 120, 120))) is None


@pytest.fixture
def catalogue(tmp_path):
    lines = ["id,title,category,split,image"]
    for index in range(12):
        name = f"{index}.png"
        shot(disc if index % 2 else touching).filter(ImageFilter.GaussianBlur(0.3)).save(tmp_path / name)
        lines.append(f"{index},red thing,{'Shoes' if index < 6 else 'Bags'},train,{name}")
    (tmp_path / "train.csv").write_text("\n".join(lines))
    return tmp_path


def test_a_catalogue_gives_cut_outs_by_category(catalogue):
    split = [product.category for product in read_products(catalogue, "train") if int(product.id) % 2]
    assert [category for _, category in studio_cut_outs(catalogue)] == split and {*split} == {"Shoes", "Bags"}
    assert {category for _, category in studio_cut_outs(catalogue, categories=["bags"])} == {"Bags"}
    assert len(list(studio_cut_outs(catalogue, count=2))) == 2
    with pytest.raises(InputError, match="no studio shots in it.*, of Hats"):
        list(studio_cut_outs(catalogue, categories=["Hats"]))


def test_sources_of_composites(catalogue):
    real, surfaces = sources(str(catalogue), None)
    products = list(read_products(catalogue, "train"))
    assert len(real) == sum(int(product.id) % 2 for product in products)
    assert len(surfaces.photos) == len(products) and not surfaces.pictures
    assert sources(None, None) == ([], None)
