"""Columns of WooCommerce's export in German, French, Spanish, Dutch, Italian, Portuguese and Polish."""

from __future__ import annotations

from collections.abc import Mapping

ATTRIBUTES = 100  # numbered columns that are known by name

# In the order of the languages above; a name that several share stands once, and one that is English is left out.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "ID": ("Identyfikator",),
    "Type": ("Typ", "Tipo"),
    "SKU": ("Artikelnummer", "UGS", "REF"),
    "Name": ("Nom", "Nombre", "Naam", "Nome", "Nazwa"),
    "Short description": (
        *("Kurzbeschreibung", "Description courte", "Descripción corta", "Korte beschrijving"),
        *("Breve descrizione", "Descrição curta", "Descrição breve", "Krótki opis"),
    ),
    "Description": ("Beschreibung", "Descripción", "Beschrijving", "Descrizione", "Descrição", "Opis"),
    "Sale price": (
        *("Angebotspreis", "Tarif promo", "Precio rebajado", "Actieprijs", "Aanbiedingsprijs"),
        *("Prezzo in offerta", "Preço promocional", "Cena promocyjna"),
    ),
    "Regular price": (
        *("Regulärer Preis", "Tarif régulier", "Precio normal", "Reguliere prijs"),
        *("Prezzo di listino", "Preço", "Preço normal", "Cena", "Cena regularna"),
    ),
    "Categories": ("Kategorien", "Catégories", "Categorías", "Categorieën", "Categorie", "Categorias", "Kategorie"),
    "Images": ("Bilder", "Imágenes", "Afbeeldingen", "Immagine", "Immagini", "Imagens", "Obrazki"),
    "Parent": (
        *("Übergeordnetes Produkt", "Superior", "Hoofd", "Genitore"),
        *("Ascendente", "Nadrzędny", "Element nadrzędny"),
    ),
}
# Of an attribute, with its number.
NUMBERED: Mapping[str, tuple[str, ...]] = {
    "Attribute {} name": (
        *("Attribut {} Name", "Nom de l'attribut {}", "Nombre del atributo {}", "Naam eigenschap {}"),
        *("Nome dell'attributo {}", "Nome do atributo {}", "Nazwa atrybutu {}"),
    ),
    "Attribute {} value(s)": (
        *("Attribut {} Wert(e)", "Valeur(s) de l'attribut {}", "Valor(es) del atributo {}", "Waarde(n) eigenschap {}"),
        *("Waarde eigenschap {}", "Valore dell'attributo {}", "Valori dell'attributo {}"),
        *("Valor(es) do atributo {}", "Valores do atributo {}", "Wartości atrybutu {}"),
    ),
    "Attribute {} visible": (
        *("Attribut {} Sichtbar", "Attribut {} visible", "Atributo visible {}", "Zichtbare eigenschap {}"),
        *("Attributo {} visibile", "Visibilidade do atributo {}", "Atrybut {} widoczny"),
    ),
    "Attribute {} global": (
        *("Attribut {} Global", "Atributo global {}", "Globale eigenschap {}"),
        *("Attributo {} globale", "Atrybut {} globalny", "Atrybut {}: globalny"),
    ),
    "Attribute {} default": (
        *("Attribut {} Standard", "Attribut {} par défaut", "Atributo por defecto {}", "Standaard eigenschap {}"),
        *("Attributo {} predefinito", "Atributo padrão {}", "Domyślny atrybut {}"),
    ),
}
TRANSLATIONS: Mapping[str, tuple[str, ...]] = {
    **COLUMNS,
    **{
        name.format(number): tuple(other.format(number) for other in others)
        for name, others in NUMBERED.items()
        for number in range(1, ATTRIBUTES + 1)
    },
}
