"""The scans of JPEG files. A progressive one of a few kilobytes may have hundreds, and each goes over all pixels."""

from __future__ import annotations

import re

MAX_SCANS = 100  # encoders write ten or so
MAX_SCANNED_PIXELS = 500_000_000  # scans times pixels: about a second
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # none of those without a length, nor an escaped byte of pixels
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def jpeg_scans(encoded: bytes) -> int:
    """The number of scans up to the end of the image, without decoding any."""
    scans = place = 0
    while (found := MARKER.search(encoded, place)) and encoded[found.end() - 1] != END_OF_IMAGE:
        scans += encoded[found.end() - 1] == START_OF_SCAN
        place = found.end() + int.from_bytes(encoded[found.end() : found.end() + 2], "big")  # the segment's length
    return scans
