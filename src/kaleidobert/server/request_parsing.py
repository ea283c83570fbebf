"""Bodies of requests: JSON, or a multipart form with a JSON part beside photos."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from kaleidobert.server.schemas import PHOTOS_OF_PRODUCT

Model = TypeVar("Model", bound=BaseModel)
REFERENCE = "#/components/schemas/{model}"
LARGEST_PART = 200_000  # bytes of a form's part that is no file


def is_form(request: Request) -> bool:
    return _kind(request) == "multipart/form-data"


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as ``model``. Raises ``HTTPException`` 415 for another kind of body, 422 for other contents."""
    if _kind(request) != "application/json":
        raise HTTPException(415, "send application/json or multipart/form-data, and say which in Content-Type")
    return parse(await request.body(), model)


async def read_form(request: Request, part: str, model: type[Model]) -> tuple[Model, list[bytes]]:
    """The JSON of this part (its defaults where the part is missing), and the files of the parts named 'photo'."""
    text, photos = await read_parts(request, part)
    return parse(text or b"{}", model), photos


async def read_parts(request: Request, name: str) -> tuple[str, list[bytes]]:
    """A form's text of this name, and the files of its parts named 'photo'."""
    async with request.form(max_files=PHOTOS_OF_PRODUCT, max_fields=20, max_part_size=LARGEST_PART) as form:
        text = form.get(name)
        files = [await file.read() for file in form.getlist("photo") if isinstance(file, UploadFile)]
    return (await text.read()).decode(errors="replace") if isinstance(text, UploadFile) else text or "", files


def one_photo(photos: list[bytes]) -> bytes | None:
    """Raises ``HTTPException`` 422 for more than one."""
    if len(photos) > 1:
        raise HTTPException(422, f"the form has {len(photos)} parts named 'photo': send one")
    return photos[0] if photos else None


def parse(text: str | bytes, model: type[Model]) -> Model:
    """Raises ``HTTPException`` 422 that names the field and what is wrong with it."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise HTTPException(422, sentence(error.errors()[0])) from error


def sentence(error: Any, skip: int = 0) -> str:
    """Pydantic's first complaint as one line; ``skip``: leading parts of its place to leave out."""
    place = ".".join(str(part) for part in error["loc"][skip:])
    return f"{place}: {error['msg']}" if place else error["msg"]


def body_schema(model: type[BaseModel], part: str, of_part: type[BaseModel] | None = None) -> dict[str, Any]:
    """What OpenAPI says of a body that may be JSON or a form; see `request_schemas`."""
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {part: _reference(of_part or model), "photo": photos}}
    contents = {"application/json": _reference(model), "multipart/form-data": form}
    return {"requestBody": {"required": True, "content": {kind: {"schema": each} for kind, each in contents.items()}}}


def request_schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """What `body_schema` refers to, for the description's components."""
    inputs: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in models]
    return models_json_schema(inputs, ref_template=REFERENCE)[1]["$defs"]


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _kind(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
