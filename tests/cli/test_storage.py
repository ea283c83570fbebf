"""Full and read-only disks, with a limit of file sizes in place of a full one."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kaleidobert.cli.output import save_picture
from kaleidobert.cli.storage import storage_problem
from kaleidobert.errors import InputError
from kaleidobert.files import replacing, write_whole

BIG = torch.zeros(100_000)


@contextmanager
def full() -> Iterator[None]:
    """No file may grow beyond 4 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_there_before_is_kept(tmp_path):
    file = tmp_path / "ranking.json"
    write_whole("before", file)
    with pytest.raises(OSError) as caught, full():
        write_whole("x" * 5000, file)
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    assert (storage_problem(caught.value) or "").startswith(f"{file}: File too large; make room")


def test_links_and_devices_stay(tmp_path):
    (tmp_path / "figures.json").write_text("old")
    (tmp_path / "link.json").symlink_to("figures.json")
    write_whole("new", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "figures.json").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole("new", tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo() and os.read(reading, 9) == b"new"
    os.close(reading)


def test_a_full_disk_keeps_the_last_picture(tmp_path):
    save_picture(Image.new("RGB", (9, 9)), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    noise = Image.effect_noise((500, 500), 99)
    with full(), pytest.raises(InputError, match="cannot be written"):
        save_picture(noise, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(5000)),
        lambda path: save_file({"weight": BIG}, path),
        lambda path: torch.save(BIG, path),
    ],
)
def test_each_library_s_error_is_one_line(write, tmp_path):
    with pytest.raises(Exception) as caught, full(), replacing(tmp_path / "weights") as scratch:
        write(scratch)
    assert "make room" in (storage_problem(caught.value) or "")


def test_a_read_only_disk_asks_for_another_place():
    try:
        raise RuntimeError("lance error") from OSError(errno.EROFS, "Read-only file system", "/shop.store")
    except RuntimeError as error:
        assert (storage_problem(error) or "").startswith("/shop.store: Read-only file system; choose a place")


def test_other_errors_are_left_alone():
    assert storage_problem(ValueError("no such option")) is None
    assert storage_problem(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")) is None


def test_a_name_that_is_too_long_is_one_short_line(tmp_path):
    with pytest.raises(OSError) as raised:
        (tmp_path / ("x" * 5000)).is_dir()
    line = storage_problem(raised.value)
    assert line is not None and line.endswith("File name too long; give a shorter one") and len(line) < 300
