"""Exports whose columns have names in the shop's language, read as the English ones."""

from pathlib import Path

import pytest

from fixtures.source_files import JPEG
from kaleidobert.data.readers import Problems, read_products

EXPORTS = Path(__file__).parent / "exports"
PHOTOS = {
    "woocommerce.csv": "hoodie.jpg hoodie-2.jpg hoodie-blue.jpg hoodie-green.jpg cap.jpg",
    "google_merchant.tsv": "kurta.jpg kurta-side.jpg kurta-back.jpg",
}
ENGLISH = (
    "ID|Type|SKU|Name|Short description|Description|Sale price|Regular price|Categories|Images|Parent|"
    "Attribute 1 name|Attribute 1 value(s)"
)
WOOCOMMERCE = [
    "ID|Typ|Artikelnummer|Name|Kurzbeschreibung|Beschreibung|Angebotspreis|Regulärer Preis|Kategorien|Bilder|"
    "Übergeordnetes Produkt|Attribut 1 Name|Attribut 1 Wert(e)",
    "ID|Type|UGS|Nom|Description courte|Description|Tarif promo|Tarif régulier|Catégories|Images|Parent|"
    "Nom de l’attribut 1|Valeur(s) de l’attribut 1 ",
    "ID|Tipo|SKU|Nombre|Descripción corta|Descripción|Precio rebajado|Precio normal|Categorías|Imágenes|Superior|"
    "Nombre del atributo 1|Valor(es) del atributo 1",
    "ID|Type|SKU|Naam|Korte beschrijving|Beschrijving|Actieprijs|Reguliere prijs|Categorieën|Afbeeldingen|Hoofd|"
    "Naam eigenschap 1|Waarde eigenschap 1",
    "ID|Tipo|SKU|Nome|Breve descrizione|Descrizione|Prezzo in offerta|Prezzo di listino|Categorie|Immagine|Genitore|"
    "Nome dell'attributo 1|Valore dell'attributo 1",
    "ID|Tipo|SKU|Nome|Descrição curta|Descrição|Preço promocional|Preço|Categorias|Imagens|Ascendente|"
    "Nome do atributo 1|Valores do atributo 1",
    "Identyfikator|Typ|SKU|Nazwa|Krótki opis|Opis|Cena promocyjna|Cena|Kategorie|Obrazki|Element nadrzędny|"
    "Nazwa atrybutu 1|Wartości atrybutu 1",
]
FEED = "id|title|description|image link|additional image link|product type|google product category"
FEEDS = [
    "ID|Titel|Beschreibung|Bildlink|Zusätzlicher Bildlink|Produkttyp|Google Produktkategorie",
    "identifiant|titre|description|lien image|lien image supplémentaire|catégorie|catégorie de produits Google",
]


def products(export, folder, names=None, english=""):
    """The products of an export whose English columns have other names."""
    header, *rows = (EXPORTS / export).read_text().splitlines()
    delimiter = "\t" if export.endswith(".tsv") else ","
    columns = [column.strip('"') for column in header.split(delimiter)]
    renamed = dict(zip(english.split("|"), (names or english).split("|"), strict=True))
    lines = [delimiter.join(renamed.get(column, column) for column in columns), *rows]
    (folder / export).write_text("\n".join(lines))
    (folder / "images").mkdir(exist_ok=True)
    for photo in PHOTOS[export].split():
        (folder / "images" / photo).write_bytes(JPEG)
    report = Problems()
    found = list(read_products(folder / export, columns={"image_template": "images/{file}"}, report=report))
    assert not report.count
    return found


@pytest.mark.parametrize("names", WOOCOMMERCE, ids="de fr es nl it pt pl".split())
def test_woocommerce(tmp_path, names):
    assert products("woocommerce.csv", tmp_path, names, ENGLISH) == products("woocommerce.csv", tmp_path)


@pytest.mark.parametrize("names", FEEDS, ids=["de", "fr"])
def test_google_merchant(tmp_path, names):
    assert products("google_merchant.tsv", tmp_path, names, FEED) == products("google_merchant.tsv", tmp_path)
