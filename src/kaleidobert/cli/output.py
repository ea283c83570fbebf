"""What every verb writes: a user's files, checked before the work, and figures alone on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from kaleidobert.errors import InputError
from kaleidobert.files import replacing, write_whole

if TYPE_CHECKING:
    from PIL import Image

STANDARD_OUTPUT = Path("-")
_standard_output: list[TextIO] = []  # that of the running verb, while sys.stdout is standard error


@contextmanager
def figures_alone() -> Iterator[None]:
    """Send to standard error what is printed inside, but for `print_figures`."""
    _standard_output.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _standard_output.pop()


def print_figures(text: str) -> None:
    """Print to the standard output that the verb started with."""
    print(text, end="", file=_standard_output[-1])


def check_files(*paths: Path | None) -> None:
    """Raise ``InputError`` for a file that cannot be written; None is no file. Nothing is created yet."""
    for path in paths:
        if path is None or path == STANDARD_OUTPUT:
            continue
        if path.is_dir():
            raise _refusal(path, "it is a folder")
        if path.exists():
            if not os.access(path, os.W_OK):
                raise _refusal(path, "no permission")
        else:
            check_folder(path.parent, path)


def check_folder(folder: Path, shown: Path | None = None) -> None:
    """Raise ``InputError`` for a folder in which nothing can be written; it may still be missing."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise _refusal(shown or folder, f"{existing} is no folder")
    if not os.access(existing, os.W_OK):
        raise _refusal(shown or folder, "no permission")


def check_picture(path: Path | None, endings: Collection[str] = ()) -> None:
    """`check_files`, and that the name ends in one of ``endings``, by default those of PIL's formats."""
    if path is None:
        return
    if not endings:
        from PIL import Image

        endings = [ending for ending, kind in Image.registered_extensions().items() if kind in Image.SAVE]
    if path.suffix.lower() not in endings:
        raise InputError(f"{path}: no picture format has the ending {path.suffix!r}; write a .png or .jpg")
    check_files(path)


def write_text(text: str, path: Path) -> None:
    """Write a text file, in UTF-8."""
    with writing(path):
        write_whole(text, path)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Save a picture in the format of its name's ending."""
    from PIL import Image

    with writing(path), replacing(path) as scratch:
        picture.save(scratch, Image.registered_extensions()[path.suffix.lower()])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Create the folders above a file that is written inside; ``InputError`` if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error


def _refusal(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: cannot be written ({reason}); choose another place")
