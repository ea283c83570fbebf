"""Files for the user are checked before the work and refused in one line; missing folders are created."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.cli.output import check_files, check_folder, check_picture, save_picture, write_text
from kaleidobert.errors import InputError

VERBS = [  # with missing inputs: an output that cannot be written is named first
    ("evaluate", "retrieval", "none", "--model", "none", "--json", "FOLDER"),
    ("evaluate", "retrieval", "none", "--model", "none", "--json", "FILE/figures.json"),
    ("fit-ranker", "none", "--model", "none", "--json", "FOLDER"),
    ("fit-ranker", "none", "--model", "none", "--picture", "FOLDER.png"),
    ("index", "none", "--model", "none", "--store", "none", "--json", "FOLDER"),
    ("search", "red", "--store", "none", "--json", "FOLDER"),
    ("search", "red", "--store", "none", "--out", "FOLDER.png"),
    ("report", "runs", "none", "--out", "FOLDER.png"),
    ("report", "runs", "none", "--out", "FILE.html"),  # the folder of its pictures
    ("pretrain", "none", "--out", "FILE"),
    ("pretrain", "none", "--out", "new", "--json", "FOLDER"),
    ("finetune", "retrieval", "none", "--model", "none", "--out", "FILE"),
    ("align", "none", "--out", "FILE"),
    ("features", "none", "--out", "FILE"),
    ("migrate", "none", "--out", "FILE"),
    ("synthesize", "FILE"),
    ("demo", "--out", "FILE"),
    ("saliency", "none", "--out", "FILE/net.safetensors"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    for name in ("FOLDER", "FOLDER.png"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
def test_verbs_name_an_output_that_cannot_be_written(arguments: tuple[str, ...]) -> None:
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, InputError) and "cannot be written" in str(error) and "\n" not in str(error)


def test_a_page_needs_an_ending() -> None:
    error = CliRunner().invoke(app, ["report", "runs", "none", "--out", "FOLDER"]).exception
    assert isinstance(error, InputError) and "ends in .html" in str(error)


def test_missing_folders_are_created_when_the_file_is_written(here: Path) -> None:
    path, picture = here / "a" / "b" / "figures.json", here / "c" / "d.jpg"
    check_files(path, None)
    check_folder(here / "e" / "f")
    check_picture(picture)
    assert not (here / "a").exists() and not (here / "c").exists() and not (here / "e").exists()
    write_text("Größe 女", path)
    save_picture(Image.new("RGB", (4, 4)), picture)
    assert path.read_text(encoding="utf-8") == "Größe 女" and Image.open(picture).format == "JPEG"


def test_what_fails_only_while_writing_is_one_line(here: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_picture(Image.new("RGBA", (4, 4)), here / "clear.jpg")
    with pytest.raises(InputError, match="no picture format has the ending '.txt'"):
        check_picture(here / "grid.txt")
