"""Product ids in paths: a slash inside an id is sent as %2F, and so told from those between the parts of the path."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor

SLASH = "\ue000"  # a private character that stands for an encoded slash while a path is routed
PREFIXES = (b"/api/products/", b"/images/")


class ProductIdConvertor(Convertor[str]):
    """``{product_id:product}``: a whole id, also one with plain slashes where no other route ends alike."""

    regex = ".*"

    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", SLASH)


register_url_convertor("product", ProductIdConvertor())


class EncodedSlashes:
    """ASGI middleware that keeps encoded slashes in the paths of products, which servers decode before routing."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        raw = scope.get("raw_path") or b""
        root = scope.get("root_path", "").encode()
        inner = raw.removeprefix(root)
        if scope["type"] == "http" and b"%2" in inner and inner.startswith(PREFIXES):
            parts = [unquote(part).replace("/", SLASH) for part in raw.decode("ascii", "replace").split("/")]
            scope = scope | {"path": "/".join(parts)}
        await self._app(scope, receive, send)
