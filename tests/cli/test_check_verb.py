"""`kaleidobert check` says what a catalogue would become."""

import io
import json

from PIL import Image

from kaleidobert.cli.check import check


def test_every_attribute_is_listed_and_a_photo_that_cannot_be_decoded_is_named(tmp_path, capsys):
    photo = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(photo, "JPEG")
    (tmp_path / "a.jpg").write_bytes(photo.getvalue()[:3000])  # its header is whole
    record = {"id": "1", "title": "Red", "image": "a.jpg", "colour": {"name": "Red"}, "attributes": '{"fit": "slim"}'}
    (tmp_path / "shop.jsonl").write_text(json.dumps(record))
    check(str(tmp_path / "shop.jsonl"))
    printed = capsys.readouterr().out
    assert "1 rows -> 1 products" in printed and "1 photo, the first cannot be read (" in printed
    for cell in ("colour.name", "attributes colour.*", "its keys are attributes", "fit"):
        assert cell in printed


def test_columns_that_a_format_folds_into_others_do_not_count_as_unused(tmp_path):
    lines = "Handle,Title,Image Src,Option1 Name,Option1 Value,Variant Price,SEO Title\ntote,Tote,a.jpg,Size,M,20.00,\n"
    (tmp_path / "shop.csv").write_text(lines)
    Image.new("RGB", (200, 200)).save(tmp_path / "a.jpg")
    check(str(tmp_path / "shop.csv"), json=tmp_path / "figures.json")
    columns = json.loads((tmp_path / "figures.json").read_text())["columns"]
    assert columns["Variant Price"] == columns["Image Src"] == columns["Option1 Value"] == "part of a column below"
    assert columns["price"] == "attribute, a number" and columns["SEO Title"].startswith("not used")
