from __future__ import annotations

import pytest

from kaleidobert.data.product import Product


def product(title: str, **attributes: str) -> Product:
    return Product(title, title, attributes=attributes)


def test_what_differs_is_named_once_and_only_where_the_text_names_it() -> None:
    from ceiling import Reading
    from mistakes import differences

    asked = Reading(product("Acme Red Shirts", colour="Red", kind="Shirts", season="Summer"))
    assert differences(asked, Reading(product("Acme Red Shirt", colour="Red", kind="Shirts", season="Winter"))) == []
    other = Reading(product("Bond Blue Shirt", colour="Blue", kind="Shirts"))
    assert differences(asked, other) == ["brand", "colour"]
    nothing = Reading(product("Bond Shirt", kind="Shirts"))  # without a colour it is not red
    assert differences(asked, nothing) == ["brand", "colour"]


def test_shares_are_of_the_wrong_ones() -> None:
    from ceiling import Reading
    from mistakes import mistakes

    caption_log_likelihood = [
        Reading(product("Acme Red Shirt", colour="Red")),
        Reading(product("Bond Red Shirt", colour="Red")),
        Reading(product("Bond Blue Shirt", colour="Blue")),
        Reading(product("Acme Red Vest", colour="Red")),
    ]
    figures = mistakes(caption_log_likelihood, asked=[0, 0, 0, 0], first=[0, 1, 2, 3])
    assert figures.pop("wrong first") == 75
    shares = {"brand": 200 / 3, "colour": 100 / 3, "several": 100 / 3, "nothing named": 100 / 3}
    assert figures == pytest.approx(shares)
