"""Photos that a catalogue names: files in its folder, or in a zip archive there, and on the web where that is allowed.

A catalogue may come from somebody else, so no address in it reaches other files of this machine or its network.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import zipfile
from pathlib import Path

from kaleidobert.data.downloads import VARIABLE, download
from kaleidobert.data.images import ImageSource
from kaleidobert.data.photo_names import find_file
from kaleidobert.data.problems import BadRow

SCHEME = re.compile("://|::")
MAX_MEMBER = 50_000_000  # bytes of a photo in an archive, which may be packed into a few


def read_address(address: str, folder: Path) -> ImageSource:
    """The photo with this address: a path relative to ``folder`` or below it, ``file://``, ``zip://PHOTO::ARCHIVE``, or
    ``data:``; with ``KALEIDOBERT_DOWNLOAD=1`` in the environment also ``http://`` and ``https://``.

    Raises ``BadRow`` for any other address, and for a file that is missing.
    """
    if address.startswith("data:"):
        return _inline(address)
    if address.startswith(("http://", "https://")):
        if os.environ.get(VARIABLE) == "1":
            return download(address)
        raise BadRow(f"images are not downloaded unless {VARIABLE}=1 is set; or save {address[:200]} and give its path")
    member, archived, archive = address.removeprefix("zip://").partition("::")
    if address.startswith("zip://") and archived and "::" not in archive:
        return _member(member, _local(archive, folder))
    return _local(address, folder)


def _local(address: str, folder: Path) -> Path:
    address = address.removeprefix("file://")
    scheme = SCHEME.search(address)
    if scheme:
        name = address[: scheme.end()][:40]
        raise BadRow(f"images at {name} are not read: save them in the catalogue's folder and give their paths")
    # Not resolved: links that the catalogue's owner put into the folder are followed.
    root, path = os.path.abspath(folder), os.path.abspath(folder / address.replace("\\", "/"))
    if os.path.commonpath([root, path]) != root:
        raise BadRow(f"image file {address[:200]} is outside the catalogue's folder {folder}: copy or link it there")
    return find_file(folder, address)


def _inline(address: str) -> bytes:
    """The image in a data URI."""
    head, _, data = address.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError("it is not base64")
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadRow(f"the data URI of an image cannot be read ({error})") from None


def _member(member: str, archive: Path) -> bytes:
    """A photo in a zip archive."""
    try:
        with zipfile.ZipFile(archive) as files, files.open(member) as file:
            encoded = file.read(MAX_MEMBER + 1)
    except (OSError, LookupError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise BadRow(f"image {member} in {archive} cannot be read ({error})") from None
    if len(encoded) > MAX_MEMBER:
        raise BadRow(f"image {member} in {archive} is larger than {MAX_MEMBER / 1e6:.0f} MB")
    return encoded
