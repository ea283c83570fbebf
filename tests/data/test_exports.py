"""Catalogues as shops export them (`exports/`), read without a columns file. Photos were saved under their names."""

import shutil
from pathlib import Path

import pytest

from fixtures.source_files import JPEG
from kaleidobert.data.readers import Problems, read_products, splits_of
from kaleidobert.errors import InputError

EXPORTS = Path(__file__).parent / "exports"
BY_NAME = {"image_template": "images/{file}"}


@pytest.fixture
def shop(tmp_path):
    """Products of an export, with the named photos in ``images/`` beside it."""

    def read(export, photos, columns=BY_NAME, report=None, **options):
        shutil.copy(EXPORTS / export, tmp_path)
        for photo in photos.split():
            (tmp_path / "images" / photo).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "images" / photo).write_bytes(JPEG)
        report = report or Problems()
        products = list(read_products(tmp_path / export, columns=columns, report=report, **options))
        assert options or report.count == 0, report.summary()
        return products

    return read


def photo_names(product):
    return [path.name for path in product.images]


def test_shopify_folds_variants_and_photos_into_one_product(shop):
    shirt, tote = shop("shopify.csv", "linen-front.jpg linen-back.jpg linen-sand.jpg tote.jpg")
    assert (shirt.id, shirt.title, shirt.category) == ("linen-shirt", "Linen Shirt", "Shirts")
    assert shirt.description == "Washed linen & cotton.\nRelaxed fit"
    assert photo_names(shirt) == ["linen-front.jpg", "linen-sand.jpg", "linen-back.jpg"]  # by Image Position
    found = {"Color": "Sand, Navy", "Size": "S, M", "price": "49.50", "Vendor": "Northwind", "Tags": "linen, summer"}
    assert found.items() <= shirt.attributes.items()
    assert shirt.attributes["Variant SKU"] == "LS-SA-S, LS-SA-M, LS-NA-M"
    assert (tote.category, tote.subcategory) == ("Apparel & Accessories", "Handbags")
    assert "Title" not in tote.attributes and tote.attributes["price"] == "25.00"


def test_shopify_s_header_of_2025(shop):
    (beanie,) = shop("shopify_2025.csv", "beanie-red.jpg beanie-green.jpg")
    assert (beanie.id, beanie.title, beanie.description, beanie.category) == (
        "wool-beanie",
        "Wool Beanie",
        "Ribbed.",
        "Hats",
    )
    assert beanie.attributes["Color"] == "Red, Green" and beanie.attributes["price"] == "19.00"
    assert len(beanie.images) == 2


def test_woocommerce_folds_variations_into_their_product(shop):
    photos = "hoodie.jpg hoodie-2.jpg hoodie-blue.jpg hoodie-green.jpg cap.jpg"
    hoodie, cap = shop("woocommerce.csv", photos)
    assert (hoodie.id, hoodie.title, hoodie.description) == ("44", "Hoodie", "Soft fleece\nKangaroo pocket.")
    assert (hoodie.category, hoodie.subcategory) == ("Clothing", "Hoodies")
    assert photo_names(hoodie) == photos.split()[:4]
    found = {"Color": "Blue, Green", "Logo": "Yes, No", "price": "42.00", "Weight (kg)": "0.5", "SKU": "HOOD"}
    assert found.items() <= hoodie.attributes.items()
    assert (cap.description, cap.attributes["price"], cap.attributes["Tags"]) == ("One size.", "14.00", "hats, sun")


def test_a_variation_without_its_product_is_one(tmp_path):
    lines = (EXPORTS / "woocommerce.csv").read_text().splitlines()
    (tmp_path / "images").mkdir()
    (tmp_path / "images/hoodie-blue.jpg").write_bytes(JPEG)
    (tmp_path / "variations.csv").write_text("\n".join([lines[0], lines[3]]))
    (hoodie,) = read_products(tmp_path / "variations.csv", columns=BY_NAME)
    assert (hoodie.title, hoodie.attributes["Color"]) == ("Hoodie - Blue", "Blue")


@pytest.mark.parametrize(
    ("export", "name", "kind", "photos"),
    [
        ("shopify.csv", "Size", "option", "linen-front.jpg linen-back.jpg linen-sand.jpg tote.jpg"),
        ("woocommerce.csv", "Color", "attribute", "hoodie.jpg hoodie-2.jpg hoodie-blue.jpg hoodie-green.jpg cap.jpg"),
    ],
)
def test_a_detail_that_is_named_as_a_column_is_kept(shop, tmp_path, export, name, kind, photos):
    first = shop(export, photos)[0]
    renamed = (EXPORTS / export).read_text().replace(f",{name},", ",Tags,")
    (tmp_path / f"renamed_{export}").write_text(renamed)
    other = next(read_products(tmp_path / f"renamed_{export}", columns=BY_NAME))
    assert other.attributes[f"Tags ({kind})"] == first.attributes[name]
    assert other.attributes["Tags"] == first.attributes["Tags"]


def test_google_merchant_as_text(shop):
    small, medium = shop("google_merchant.tsv", "kurta.jpg kurta-side.jpg kurta-back.jpg")
    assert (small.id, small.title, small.description) == ("K-1-S", "Cotton Kurta", "Block print & cotton")
    assert (small.category, small.subcategory) == ("Women", "Kurtas")
    assert photo_names(small) == ["kurta.jpg", "kurta-side.jpg", "kurta-back.jpg"]
    assert (small.attributes["price"], small.attributes["price currency"]) == ("1234.50", "INR")
    assert (medium.attributes["price"], medium.attributes["size"]) == ("1234.50", "M")
    assert small.attributes["item_group_id"] == medium.attributes["item_group_id"] == "K-1"
    assert (medium.category, medium.subcategory) == ("Apparel & Accessories", "Shirts & Tops")


def test_google_merchant_as_rss(shop):
    (kurta,) = shop("google_rss.xml", "kurta.jpg kurta-side.jpg kurta-back.jpg")
    assert (kurta.id, kurta.title, kurta.description) == ("K-1", "Cotton Kurta", "Block print\nCotton")
    assert (kurta.category, kurta.subcategory) == ("Women", "Kurtas")
    assert len(kurta.images) == 3
    found = {"price": "1234.50", "item_group_id": "K", "shipping.country": "IN, NP", "shipping.price": "50, 90"}
    assert found.items() <= kurta.attributes.items()


def test_google_merchant_as_atom(shop):
    (scarf,) = shop("google_atom.xml", "scarf.jpg")
    assert (scarf.id, scarf.title, scarf.description) == ("R-7", "Röd halsduk", "Ull")
    assert scarf.subcategory == "Scarves & Shawls"
    assert (scarf.attributes["price"], scarf.attributes["link"]) == ("199.00", "https://shop.example/r7")


def test_a_feed_reads_no_other_file(tmp_path):
    (tmp_path / "secret.txt").write_text("hidden")
    (tmp_path / "feed.xml").write_text(
        f'<!DOCTYPE rss [<!ENTITY other SYSTEM "file://{tmp_path}/secret.txt">]><rss xmlns:g="http://base.google.com/ns/1.0">'
        "<item><g:id>1</g:id><g:title>Bag &other;</g:title><g:image_link>data:image/jpeg;base64,"
        "</g:image_link></item></rss>"
    )
    with pytest.raises(InputError) as error:
        list(read_products(tmp_path / "feed.xml", max_bad=1))
    assert "hidden" not in str(error.value)
    (tmp_path / "feed.xml").write_text("<rss><item><id>1</id></rss>")
    with pytest.raises(InputError, match=r"feed\.xml: broken XML \(.* line 1"):
        read_products(tmp_path / "feed.xml")
    (tmp_path / "feed.xml").write_text("<html/>")
    with pytest.raises(InputError, match="expected an RSS or Atom feed"):
        read_products(tmp_path / "feed.xml")


def test_algolia_with_nested_fields(shop):
    loafer, scarf = shop("algolia.json", "loafer.jpg scarf.jpg")
    assert (loafer.id, loafer.title, loafer.description) == ("a1", "Suede Loafer", "Hand & heart")
    assert (loafer.category, loafer.subcategory, scarf.category) == ("Shoes", "Loafers", "Scarves")
    found = {"color.original_name": "Cognac", "variants.size": "41, 42", "free_shipping": "true", "price": "129.5"}
    assert found.items() <= loafer.attributes.items()
    assert (scarf.attributes["free_shipping"], scarf.attributes["price"]) == ("false", "60")


def test_the_answer_of_a_search_holds_products(shop):
    (jacket,) = shop("marqo.json", "jacket.jpg")
    assert (jacket.id, jacket.title, jacket.attributes) == ("m1", "Denim Jacket", {"price": "80"})


def test_h_and_m_has_photos_by_id_prefix(shop):
    (top,) = shop("h_and_m_articles.csv", "010/0108775015.jpg", columns=None)
    assert (top.id, top.title, top.category, top.subcategory) == (
        "0108775015",
        "Strap top",
        "Garment Upper body",
        "Vest top",
    )
    assert top.attributes["colour_group_name"] == "Black" and photo_names(top) == ["0108775015.jpg"]


@pytest.mark.parametrize("export", ["excel_cp1252.csv", "excel_unicode.txt"])
def test_excel_s_text_files(shop, export):
    jacket, shirt = shop(export, "grün.jpg hemd.jpg", columns=None)
    assert (jacket.title, jacket.attributes) == (
        "Grüne Jacke",
        {"Größe": "38.5", "Preis": "1234.50", "Preis currency": "€"},
    )
    assert shirt.attributes["Preis"] == "59.00"


def test_photos_in_a_folder_for_each_category(tmp_path):
    for name in ("train/ankle_boots/[1] #50%.JPG", "train/bags/totes/a.png", "val/bags/b.jpg"):
        (tmp_path / "shop [new] #1 50%" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop [new] #1 50%" / name).write_bytes(JPEG)
    assert splits_of(tmp_path / "shop [new] #1 50%") == ("train", "validation")
    boots, tote = read_products(tmp_path / "shop [new] #1 50%", "train")
    assert (boots.id, boots.title, boots.category) == ("ankle_boots/[1] #50%", "ankle boots", "ankle_boots")
    assert (tote.title, tote.category, tote.subcategory) == ("totes", "bags", "totes")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("images/photo.jpg", "names no column; write for example images/{id:.3}/{id}.jpg"),
        ("images/{ean}.jpg", "no column 'ean'; use {id}, {file} .* or one of article_id, "),
        ("images/{id", "expected '}' before end of string"),
        ("images/{id:.3d}", "write for example"),
        ("images/{id:99999999999}", "a name of 99999999999 letters"),
    ],
)
def test_templates_that_cannot_be_filled(template, message):
    with pytest.raises(InputError, match=message):
        read_products(EXPORTS / "h_and_m_articles.csv", columns={"image_template": template})
