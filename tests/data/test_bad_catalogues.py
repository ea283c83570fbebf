"""Damaged and odd catalogues: each is one line that says what and where, or products and a report of what was left out.

A line of a case is a file's content and a part of what is then said: ids and titles, the report, or the error.
"""

import base64
import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fixtures.source_files import JPEG
from kaleidobert.data.readers import Problems, read_products
from kaleidobert.errors import InputError

URI = "data:image/jpeg;base64," + base64.b64encode(JPEG + bytes(300_000)).decode()
HEAD = "id,title,image\n"
GOOD = "9,Good,a.jpg\n"
RECORD = '{"id":"9","title":"Good","image":"a.jpg"}\n'
ITEM = "<item><g:id>9</g:id><g:title>Good</g:title><g:image_link>a.jpg</g:image_link>%s</item>"

RED, BLUE = (ITEM.replace("9", each).replace("Good", name) for each, name in (("1", "Red"), ("2", "Blue")))
LAUGHS = (
    '<!DOCTYPE rss [<!ENTITY laugh0 "ha">'
    + "".join(f'<!ENTITY laugh{n + 1} "{f"&laugh{n};" * 10}">' for n in range(9))
    + "]>"
)


def record(**cells):
    return json.dumps({"id": "1", "title": "Red", "image": "a.jpg", **cells}) + "\n"


def feed(*items):
    return '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>' + "".join(items) + "</channel></rss>"


CSV = [
    ("", "the file is empty"),
    ("\ufeff", "no header with column names"),
    ("\n\n", "no header with column names"),
    (HEAD, "it has no rows"),
    (HEAD + ",,\n" * 3, "it has no rows"),
    (HEAD + GOOD + ",,\n" * 3, "9 Good; all 1 rows"),
    ("id,title\n1,Red\n", "no image column among: id, title"),
    ("id,image\n1,a.jpg\n", "no title or description column among"),
    ("id,title,image," + ",".join(f"c{n}" for n in range(5000)), "it has no rows"),
    ("id," + ",".join(f"c{n}" for n in range(5000)), "... (5,001 in all)"),
    (HEAD.strip() + "," + "n" * 200_000 + "\n", "its first line is no header"),
    ("id,title,title,image\n1,Red,Bag,a.jpg\n", "1 Red, Bag"),
    ("id,title,image,image\n1,Red,a.jpg,b.jpg\n", "1 Red 2 photos"),
    ("id,title,image,hue,hue\n1,Red,a.jpg,x,y\n", "'hue': 'x, y'"),
    ("id,title,image,hue,hue\n1,Red,a.jpg,x,\n", "'hue': 'x'"),
    ("id,title,image,,\n1,Red,a.jpg,x,y\n", "'column 4': 'x', 'column 5': 'y'"),
    ("id,title,image,cafe\u0301,caf\u00e9\n1,Red,a.jpg,x,y\n", "'caf\u00e9': 'x, y'"),
    ('id,title,image,hue,attributes\n1,Red,a.jpg,x,"{""hue"": ""y""}"\n', "'hue': 'x, y'"),
    (
        "sep=;\n" + HEAD.replace(",", ";") + "1;Red;a.jpg;x\n" + GOOD.replace(",", ";"),
        "line 3: 4 cells where the header",
    ),
    ("\ufeffsep=,\r\n" + HEAD + GOOD, "9 Good; all 1 rows"),
    (("sep=\t\r\n" + HEAD + GOOD).replace(",", "\t").encode("utf-16"), "9 Good; all 1 rows"),
    ("sep=;\n", "no header with column names"),
    ((HEAD + GOOD).replace(",", "|"), "9 Good; all 1 rows"),
    (HEAD + '1,Red,a.jpg,"{bad"\n' + GOOD, "line 2: 4 cells where the header has 3"),
    (HEAD + '1,"Red,a.jpg\n' + GOOD, "9 Good; 1 of 2"),
    (HEAD + '1,"Red,a.jpg\n2,"Blue",a.jpg\n' + GOOD, "2 Blue, 9 Good; 1 of 3"),
    (HEAD + '1,"Red,a.jpg\n' + "2,Blue,a.jpg\n" + GOOD * 20_000, "2 Blue, 9 Good 20000 photos; 1 of 20,002"),
    (HEAD + '1,Red,"a.jpg', "1 Red"),
    (HEAD + '1,"Red\nbag",a.jpg\n', "1 Red bag"),
    (HEAD + "1," + "x" * 27_000_000 + ",a.jpg\n" + GOOD, "line 2: a cell of more than 26,667,666 characters: keep its"),
    (HEAD + f'1,Red,"{URI}"\n' + GOOD, "1 Red, 9 Good; all 2"),
    (HEAD + f'1,"Red\nbag","{URI}"\n' + GOOD, "1 Red bag, 9 Good; all 2"),
    (HEAD + f'1,"Red,{URI}\n' + GOOD * 40_000, "9 Good 40000 photos; 1 of 40,001"),
    (HEAD + "1,Red\n" + GOOD, "line 2: 2 cells where the header has 3"),
    (HEAD + "1,\x1b[31mRed\x07,a.jpg\n", "1 [31mRed;"),
    (HEAD + "1,\0Red,a.jpg\n", "1 Red;"),
    (HEAD + "1,Red,/etc/passwd\n" + GOOD, "outside the catalogue's folder"),
    (HEAD + "1,Red,ftp://host/a.jpg\n" + GOOD, "images at ftp:// are not read"),
    (HEAD + "1,Red," + "x" * 5000 + "\n" + GOOD, "no name of a file"),
    (HEAD + "1,Red," + "x" * 300 + "\n" + GOOD, "cannot be opened (File name too long)"),
    (HEAD + '1,Red,"data:image/png;base64,@"\n' + GOOD, "the data URI of an image cannot be read"),
    (HEAD + '1,Red,"a.jpg, b.jpg"\n', "1 Red 2 photos"),
    (HEAD + "1,Red,a.jpg;b.jpg\n", "1 Red 2 photos"),
    (HEAD + "1,Red,\"['a.jpg', 'b.jpg']\"\n", "1 Red 2 photos"),
    (HEAD + '1,Red,"https://shop.example/w_20,h_20/a.jpg"\n' + GOOD, "save https://shop.example/w_20,h_20/a.jpg"),
    (HEAD + '1,Red,"front, a.jpg"\n' + GOOD, "/front, a.jpg "),
    (HEAD + '1,Red,"' + "[" * 5000 + '"\n' + GOOD, "9 Good; 1 of 2"),
    (HEAD + "1,Red,folder\n" + GOOD, "image file missing"),
    (HEAD + "1,Red,loop.jpg\n" + GOOD, "image file missing"),
    (HEAD + "1,Red,zip://a.jpg::bad.zip\n" + GOOD, "bad.zip cannot be read"),
    (HEAD + "1,Red,bad.zip\n" + GOOD, "not an image"),
    (HEAD + "1,<script>x</script>,a.jpg\n" + GOOD, "no text (column title)"),
    (HEAD + ",Red,a.jpg\n" + GOOD, "no product id (column id)"),
    (HEAD + GOOD + "1,Red,a.jpg\n" + GOOD, "duplicate product id 9"),
    ((HEAD + GOOD).encode("utf-16-le"), "not a text file, or in an encoding without a mark"),
    ((HEAD + GOOD).encode("utf-32"), "not a text file, or in an encoding without a mark"),
    ((HEAD + GOOD).encode("utf-16")[:-1], "image file missing"),
    (b"PK\x03\x04\0\0", "not a text file"),
    (JPEG, "not a text file"),
]
JSONL = [
    ("{}\n", "no line with a JSON object (nothing in it)"),
    ("null\n" + RECORD, "line 1: a JSON NoneType"),
    ("[1]\n" + RECORD, "line 1: a JSON list"),
    ("{bad\n" + RECORD, "line 1: broken JSON"),
    (RECORD + record()[:20], "line 2: broken JSON"),
    (RECORD + "[" * 100_000, "line 2: broken JSON"),
    (RECORD + '{"id":"1","title":"R","image":"a.jpg","x":' + "[" * 900 + "]" * 900 + "}", "9 Good"),
    ('{"id":"1","title":"Red","title":"Blue","image":"a.jpg"}\n' + RECORD, "line 1: broken JSON (the key 'title' is"),
    (record(title="\ud800") + RECORD, "title is not valid UTF-8"),
    (record(id="\ud800") + RECORD, "id is not valid UTF-8"),
    (record(image="\ud800.jpg") + RECORD, "image file missing"),
    (record(hue="\udfff") + RECORD, "hue is not valid UTF-8"),
    (record(**{"\ud800": 1}) + RECORD, "the name of column '\\ud800' is not valid"),
    (record(id=float("nan")) + RECORD, "no product id"),
    ('{"id":' + "9" * 5000 + "}\n" + RECORD, "9 Good; 1 of 2 rows could not be used (50.0%)"),
    (record(title={"en": "Red"}) + RECORD, "title holds dict, not text"),
    (record(title=["Red", ["bag", None]]), "1 Red, bag"),
    (record(image=None) + RECORD, "no image (column image)"),
    (record(image=5) + RECORD, "neither a file name nor bytes (int)"),
    (record(image={"alt": "x"}) + RECORD, "the image has none of bytes, path, src, url"),
    (record(image=[{"src": "a.jpg"}, {"url": "b.jpg"}]), "1 Red 2 photos"),
    (record(image=[None, "a.jpg", ["b.jpg"]]), "kept with 1 of 2 views"),
    (record(a={"b": 1}, **{"a.b": 2}), "'a.b': '1, 2'"),
    (record(a={"b": None, "c": [None, {"d": None}]}, f=[], g=[None]), "1 Red; all 1 rows"),
    (json.dumps({"_index": "shop", "_id": "1", "_source": {"title": "Red", "image": "a.jpg"}}), "1 Red; all 1 rows"),
    (
        '{"_id": {"$oid": "5f"}, "title": "Red", "image": "a.jpg", "price": {"$numberDecimal": "9.5"}}',
        "5f Red; all 1 rows",
    ),
    (record(masks=5, regions="x") + RECORD, "regions must be a JSON list"),
    (record(id="\0", title="\x1b[31mRed") + RECORD, "no product id"),
    (record().encode("cp1252").replace(b"Red", b"Gr\xfcn") + RECORD.encode(), "line 1: broken JSON ('utf-8' codec"),
]
JSON = [
    ("[]", "no record with a JSON object"),
    ("{}", "no record with a JSON object"),
    ("5", "no record with a JSON object"),
    ("[1, 2]", "record 1: a JSON int where an object was expected"),
    ('[{"id": 1', "broken JSON"),
    ("[" * 100_000, "broken JSON"),
    (f"[{RECORD}, null, 5]", "record 2: a JSON NoneType"),
    (f"[{RECORD}".encode("utf-16"), "broken JSON"),
    (f"[{RECORD}]".encode("utf-16"), "9 Good"),
    ('{"products": [' + RECORD + '], "others": [{"x": 1}, {"x": 2}]}', "9 Good"),
    (
        '{"took": 3, "hits": {"total": {"value": 1}, "hits": [{"_score": 1, "_source": ' + RECORD + "}]}}",
        "9 Good; all 1",
    ),
    ('{"hits": {"hits": [{"_id": "1", "_source": {"title": "Red", "image": "a.jpg"}}]}, "_scroll_id": "x"}', "1 Red"),
    ('{"responseHeader": {"status": 0}, "response": {"numFound": 1, "docs": [' + RECORD + "]}}", "9 Good; all 1"),
    ('{"results": [{"hits": [' + RECORD + '], "index": "a"}, {"hits": [' + record() + "]}]}", "9 Good, 1 Red; all 2"),
    ('{"hits": [{"document": ' + RECORD + ', "highlights": []}], "found": 1}', "9 Good; all 1"),
    ('{"data": {"products": {"edges": [{"cursor": "x", "node": ' + RECORD + "}]}}}", "9 Good; all 1"),
    ('{"title": "Red", "image": "a.jpg", "data": {"hue": "x"}}', "Red; all 1 rows could be used [{'data.hue': 'x'}]"),
    ('{"id": ["1", "2"], "title": ["Red", "Blue"], "image": ["a.jpg", "b.jpg"]}', "1 Red, 2 Blue; all 2"),
    (
        '{"id": {"0": "1", "1": "2"}, "title": {"0": "Red", "1": "Blue"}, "image": {"0": "a.jpg", "1": "b.jpg"}}',
        "2 Blue;",
    ),
    ('{"columns": ["id", "title", "image"], "index": [0], "data": [["1", "Red", "a.jpg"]]}', "1 Red; all 1"),
    ('{"title": ["Red", "bag"], "image": ["a.jpg"]}', "Red, bag; all 1"),
    ('{"items": [' + RECORD + '], "next": "https://shop.example/2"}', "9 Good; all 1"),
    ('{"hits": [5, ' + RECORD + "]}", "9 Good; 1 of 2"),
    ('[{"objectID": "1", "name": "Red", "image": "a.jpg", "hierarchicalCategories": {"lvl0": null}}]', "1 Red"),
    ('[{"objectID": "1", "name": "Red", "image": "a.jpg", "categories": [null, {"a": 1}]}]', "1 Red"),
]
XML = [
    ("<html><p></html>", "broken XML"),
    ('\n \n<?xml version="1.0"?>' + feed(ITEM % ""), "9 Good; all 1"),
    ('\n<?xml version="1.0"?>\n' + feed(ITEM % "&nbsp;"), "9 Good; all 1"),
    ("\n\n" + feed(ITEM % "a < b"), "broken XML (StartTag: invalid element name, line 3)"),
    ("<urlset/>", "no <item> or <entry> in it"),
    (feed("<item/>"), "no <item> or <entry> in it"),
    (feed(ITEM % "")[:-40], "broken XML"),
    (feed(RED % "", ITEM % "", BLUE % "")[:-40], "1 Red, 9 Good; 1 of 3"),
    (feed(RED % "", ITEM % "", BLUE % "")[:-40], "the item has no end: is the file cut off?"),
    (feed(RED % "", ITEM % "", BLUE % "")[:-9], "1 Red, 9 Good, 2 Blue; all 3"),
    (feed(ITEM % "").replace(' xmlns:g="http://base.google.com/ns/1.0"', ""), "9 Good; all 1"),
    (feed(ITEM % "<other:hue>red</other:hue>"), "'hue': 'red'"),
    (feed(ITEM % "<g:hue>Q&A, B & C &amp; &#68;</g:hue>"), "'hue': 'Q&A, B & C & D'"),
    (feed(ITEM % "<item_group_id>7</item_group_id>&"), "'item_group_id': '7'"),
    (feed(ITEM % "<g:hue>a&nbsp;&eacute;</g:hue>"), "'hue': 'a é'"),
    (feed(ITEM % "<g:hue>a\x0bb</g:hue>"), "'hue': 'a b'"),
    (feed(ITEM % "<g:hue><![CDATA[?w=1&h=2]]>& x</g:hue>"), "'hue': '?w=1&h=2& x'"),
    (b'<?xml version="1.0" encoding="cp1252"?>' + feed(ITEM % "<g:hue>é & è</g:hue>").encode("cp1252"), "'é & è'"),
    (feed(ITEM % "<g:hue>é & è</g:hue>").encode("utf-16"), "'é & è'"),
    *(
        (feed(RED % "", "\n" + BLUE % damage, ITEM % ""), said)
        for said in ("1 Red, 9 Good; 1 of 3", "shop.xml, line 2: broken XML (")
        for damage in ("<g:size>a < b</g:size>", "a<br>b", "</g:size>", "&#0;", "]]>")
    ),
    (
        feed(RED % "", "\n" + BLUE % "", ITEM % "").encode().replace(b"Blue", b"Bl\xfc"),
        "line 2: not valid text in the file's",
    ),
    (feed(RED % "", "\n" + (BLUE % "").replace("</item>", ""), ITEM % ""), "1 Red, 9 Good; 1 of 3"),
    (feed(ITEM % "<?php 1 ?><!-- c --><g:color>red</g:color>"), "'color': 'red'"),
    (feed(ITEM % ("<a>" * 5000)), "Excessive depth"),
    (LAUGHS + feed(RED % "", ITEM % "&laugh9;"), "Maximum entity amplification factor exceeded"),
    ('<!DOCTYPE rss [<!ENTITY other "x">]>' + feed(ITEM % "&other;"), "9 Good"),
    (
        '<!DOCTYPE rss [<!ENTITY other SYSTEM "file:///etc/passwd">]>' + feed(ITEM % "<g:color>&other;</g:color>"),
        "9 Good",
    ),
    (feed(ITEM % "<g:id>8</g:id>"), "9, 8 Good"),
    (feed(ITEM % "").encode("utf-16"), "9 Good"),
    ('<?xml version="1.0" encoding="klingon"?>' + feed(ITEM % ""), "Unsupported encoding"),
]
CASES = [
    pytest.param(f"shop.{suffix}", *case, id=f"{suffix}-{number}")
    for suffix, cases in {"csv": CSV, "jsonl": JSONL, "json": JSON, "xml": XML}.items()
    for number, case in enumerate(cases)
]


@pytest.fixture
def folder(tmp_path):
    """With photos a.jpg and b.jpg, a folder, a link to itself, and an archive that is none."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "bad.zip").write_bytes(b"PK\x05\x06")
    return tmp_path


def said(path):
    """The products and the report, or the error, in one line."""
    report = Problems()
    try:
        products = list(read_products(path, max_bad=1, report=report))
    except InputError as error:
        return str(error)
    found = ", ".join(
        " ".join(f"{product.id} {product.title}".split())
        + (f" {len(product.images)} photos" if len(product.images) > 1 else "")
        for product in products
    )
    attributes = [product.attributes for product in products if product.attributes]
    return f"{found}; {report.summary()} {attributes or ''}"


@pytest.mark.parametrize(("name", "content", "expected"), CASES)
def test_text_files(folder, name, content, expected):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    line = said(folder / name)
    assert expected in line and "\n" not in line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("shop.csv", HEAD.strip() + ',price\n"=""007""",Red,a.jpg,#N/A\n'),
        ("shop.json", json.dumps([json.loads(record(id="007", _highlightResult={"title": {"value": "Red"}}))])),
    ],
)
def test_what_is_no_value_of_the_shop_s_is_left_out(folder, name, content):
    (folder / name).write_text(content)
    assert said(folder / name) == "007 Red; all 1 rows could be used "


def parquet(folder, columns, names=("id", "title", "image"), metadata=None):
    table = pa.table(columns, names=list(names)).replace_schema_metadata(metadata)
    pq.write_table(table, folder / "shop.parquet", compression="none")
    return folder / "shop.parquet"


def test_a_damaged_cell_of_a_parquet_file_is_a_reported_row(folder):
    offsets, letters = np.array([0, 2, 6], np.int32), b"\xff\xfeGood"
    titles = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters)])
    assert "2 Good; 1 of 2" in said(parquet(folder, [["1", "2"], titles, [JPEG, JPEG]]))
    dates = pa.array([2**62, 0], pa.timestamp("us"))  # the first is beyond Python's years
    columns = [["1", "2"], ["Red", "Good"], [JPEG, JPEG], dates]
    assert "row 0: date: " in said(parquet(folder, columns, ("id", "title", "image", "date")))


def test_columns_of_one_name_in_a_parquet_file(folder):
    columns = [["1"], ["Red"], ["Bag"], [JPEG]]
    assert "1 Red, Bag" in said(parquet(folder, columns, ("id", "title", "title", "image")))


@pytest.mark.parametrize("features", [[], {"title": {"_type": "ClassLabel", "names": 7}}, {"title": 5}, None])
def test_damaged_metadata_of_a_parquet_file_is_ignored(folder, features):
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    assert "1 Red" in said(parquet(folder, [["1"], ["Red"], [JPEG]], metadata=metadata))


@pytest.mark.parametrize("seed", range(12))
def test_a_parquet_file_with_random_bytes(folder, seed):
    rng = np.random.default_rng(seed)
    path = parquet(folder, [[str(n) for n in range(50)], [f"Shirt {n}" for n in range(50)], [JPEG] * 50])
    content = bytearray(path.read_bytes())
    for place in rng.integers(4, len(content) - 8, 5):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    assert "\n" not in said(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input_image": np.zeros((2, 4, 4, 3), np.uint8)}, "input_image has 2 rows, but"),
        ({"input_name": np.array([[b"Red"]])}, "input_image has 3 rows, but input_name 1"),
        ({"input_name": np.zeros((3, 0))}, "input_image has 3 rows, but input_name 0"),
        ({"input_productID": 5}, "input_image has 3 rows, but input_productID 0"),
        ({"input_image": np.zeros((3, 4))}, "is not rows × height × width × 3 of uint8"),
        ({"input_image": np.zeros((3, 4, 4, 3))}, "is not rows × height × width × 3 of uint8"),
        ({}, "1 Red, 2 Blue 2 photos"),
    ],
)
def test_fashion_gen_s_file(folder, changed, message):
    whole = {"input_image": np.zeros((3, 4, 4, 3), np.uint8), "input_productID": np.array([[1], [2], [2]])}
    whole["input_name"] = np.array([[b"Red"], [b"Blue"], [b"Blue"]])
    with h5py.File(folder / "shop.h5", "w") as file:
        for name, cells in (whole | changed).items():
            file[name] = cells
    assert message in said(folder / "shop.h5")


@pytest.mark.parametrize("content", ["{", "{}", '{"splits": 5}', "[]", "\ud800"])
def test_a_damaged_list_of_saved_splits(folder, content):
    (folder / "dataset_dict.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"dataset_dict\.json: damaged \(.*save the dataset again"):
        read_products(folder)


def test_files_of_a_folder_that_are_not_read_are_named(folder, caplog):
    (folder / "train.csv").write_text(HEAD + GOOD)
    (folder / "test.jsonl").write_text(RECORD)
    assert "9 Good" in said(folder)
    assert "only test.jsonl is read; if these are data, give them by name: train.csv" in caplog.text


def test_a_photo_outside_the_folders_of_categories_is_reported(folder):
    for name in ("loop.jpg", "b.jpg"):
        (folder / name).unlink()
    (folder / "folder" / "c.jpg").write_bytes(JPEG)
    assert "folder/c folder; 1 of 2" in said(folder) and "a.jpg is in no folder" in said(folder)


@pytest.mark.parametrize("data", ["", " "])
def test_an_empty_name_is_not_this_folder(data):
    with pytest.raises(InputError, match="the name of the catalogue is empty"):
        read_products(data)
