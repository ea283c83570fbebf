"""Request bodies: JSON, or a multipart form with a JSON part and photos."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from kaleidobert.server.schemas import MAX_PHOTOS

Model = TypeVar("Model", bound=BaseModel)
REFERENCE = "#/components/schemas/{model}"
MAX_PART_BYTES = 200_000  # of a form part that is not a file


def is_form(request: Request) -> bool:
    return _content_type(request) == "multipart/form-data"


async def read_json(request: Request, model: type[Model], forms: bool = True) -> Model:
    """The body as ``model``. Raises ``HTTPException`` 415 for another content type, 422 for invalid content.

    ``forms``: whether the path takes forms as well, for the message.
    """
    if _content_type(request) != "application/json":
        kinds = "application/json or multipart/form-data" if forms else "application/json"
        raise HTTPException(415, f"send {kinds}, and declare it in Content-Type")
    return parse(await request.body(), model)


async def read_form(request: Request, part: str, model: type[Model]) -> tuple[Model, list[bytes]]:
    """The JSON in this part as ``model`` (its defaults if the part is missing), and the files in parts 'photo'."""
    text, photos = await read_parts(request, part)
    return parse(text or b"{}", model), photos


async def read_parts(request: Request, name: str) -> tuple[str, list[bytes]]:
    """The text of the form part ``name`` ("" if missing), and the files in parts 'photo'."""
    async with request.form(max_files=MAX_PHOTOS, max_fields=20, max_part_size=MAX_PART_BYTES) as form:
        text = form.get(name)
        if isinstance(text, UploadFile):  # as a client sends the JSON that gives it a content type
            text = (await text.read()).decode(errors="replace")
        if any(isinstance(photo, str) and photo for photo in form.getlist("photo")):
            raise HTTPException(422, "the part 'photo' is a text: send it as a file, with curl by -F photo=@FILE")
        files = [await file.read() for file in form.getlist("photo") if isinstance(file, UploadFile)]
    return text or "", files


def single_photo(photos: list[bytes]) -> bytes | None:
    """The photo, or None without any. Raises ``HTTPException`` 422 for more than one."""
    if len(photos) > 1:
        raise HTTPException(422, f"the form has {len(photos)} parts named 'photo': send one")
    return photos[0] if photos else None


def parse(text: str | bytes, model: type[Model]) -> Model:
    """Raises ``HTTPException`` 422 that names the invalid field and the reason."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise HTTPException(422, validation_message(error.errors()[0])) from error


def validation_message(error: Any, skip: int = 0) -> str:
    """A Pydantic error as 'field: reason'; ``skip`` leading parts of the field's location are left out."""
    location = ".".join(str(part) for part in error["loc"][skip:])
    return f"{location}: {error['msg']}" if location else error["msg"]


def body_schema(model: type[BaseModel], part: str | None, part_model: type[BaseModel] | None = None) -> dict[str, Any]:
    """The OpenAPI entry for a body that is JSON (``model``) or, with a ``part``, a form with this as JSON
    (``part_model``).

    The referenced schemas come from `request_schemas`.
    """
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}}
    contents: dict[str, Any] = {"application/json": _reference(model)}
    if part is not None:
        form = {"type": "object", "properties": {part: _reference(part_model or model), "photo": photos}}
        contents["multipart/form-data"] = form
    return {"requestBody": {"required": True, "content": {kind: {"schema": each} for kind, each in contents.items()}}}


def request_schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """The JSON schemas that `body_schema` refers to."""
    inputs: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in models]
    return models_json_schema(inputs, ref_template=REFERENCE)[1]["$defs"]


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _content_type(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
