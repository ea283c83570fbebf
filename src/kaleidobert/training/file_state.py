"""The state of a catalogue's files, by which a cache of prepared photos knows that they have changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from kaleidobert.data.hugging_face import is_saved

PHOTOS_FILE = "photos.json"  # in the cache: the photo files that were read


def source_state(data: str | Path) -> list:
    """The source's path with the names, sizes and modification times of its own files; photos: see `save_photos`."""
    path = Path(data)
    if path.is_dir():
        found = path.rglob("*") if is_saved(path) else path.iterdir()
        files = sorted(file for file in found if file.is_file())
    else:
        files = [path] if path.exists() else []
    stats = [(str(file.relative_to(path)), *_state(file)) for file in files]
    return [str(path.resolve()) if files else str(data), stats]


def save_photos(folder: Path, photos: Iterable[Path], complete: bool) -> None:
    """Write the state of all photo files that were read into a cache's folder.

    Unless they are ``complete``, their folders' states as well, so that photos that were missing are found later.
    """
    paths = {path.absolute() for path in photos}
    if not complete:
        paths |= {path.parent for path in paths}
    states = {str(path): _state(path) for path in sorted(paths)}
    (folder / PHOTOS_FILE).write_text(json.dumps(states))


def photos_changed(folder: Path) -> bool:
    """Whether a photo that `save_photos` wrote into the cache's folder is another file now, or gone."""
    states = json.loads((folder / PHOTOS_FILE).read_text())
    return any(_state(Path(path)) != state for path, state in states.items())


def _state(path: Path) -> list[int]:
    """Size and modification time in nanoseconds; [] without the file."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size if path.is_file() else 0, found.st_mtime_ns]
