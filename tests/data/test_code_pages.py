"""Texts that are not Unicode, in the code pages that spreadsheets write."""

import pytest

from kaleidobert.data.code_pages import code_page

TEXTS = [
    ("cp1252", "Rød kjole med blå blomster, grå strikket trøje i blød uld"),
    ("cp1252", "Röd klänning med blå blommor, svarta stövlar för barn"),
    ("cp1252", "Größe 38 – “Grün”, Ärmel 20 cm, 5 €"),
    ("cp1252", "Robe à fleurs en coton léger, écharpe brodée, maillot d’été"),
    ("cp1252", "Vestido de algodón, pantalón para niño, camisón de señora"),
    ("cp1252", "Vestido de algodão, calções azuis, camisola de lã"),
    ("cp1252", "Gonna più lunga, felpa in città"),
    ("cp1250", "Czerwona sukienka z długim rękawem, żółty płaszcz wełniany"),
    ("cp1250", "Červené šaty s dlouhým rukávem, kožené boty pro muže"),
    ("cp1250", "Piros ruha hosszú ujjú, zöld kabát nőknek, bőr cipő"),
    ("cp1254", "Kırmızı elbise, yeşil gömlek, çocuk ayakkabısı"),
    ("cp1251", "Красное платье, синяя рубашка"),
    ("cp1253", "Κόκκινο φόρεμα, μπλε πουκάμισο"),
    ("cp1256", "فستان أحمر صيفي"),
    ("cp1256", "تنورة زرقاء قطنية، حقيبة جلد بني"),
    ("cp932", "赤いワンピース、青いシャツ"),
    ("gb18030", "红色连衣裙，蓝色衬衫"),
]


@pytest.mark.parametrize(("page", "text"), TEXTS)
def test_letters_are_those_of_a_language(page, text):
    assert text.encode(page).decode(code_page(text.encode(page))) == text
