"""Options that several verbs share, and those of the program."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.cli.options import data_arguments
from kaleidobert.errors import InputError
from kaleidobert.training.settings import PRESETS


@pytest.fixture
def csv(drawn_products, tmp_path: Path) -> Path:
    """Twenty products with columns of unusual names; the photo of the first is missing."""
    lines = ["code,prod_name,picture,price,season,stock,length"]
    for number, row in enumerate(drawn_products(20, seed=3)):
        if number:
            (tmp_path / f"{number}.png").write_bytes(row["images"][0])
        lines.append(f'{number},{row["title"]},{number}.png,"{number},50 kr",Summer {number % 3},{number},{number} cm')
    (tmp_path / "products.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "columns.yaml").write_text("id: code\ntitle: prod_name\nimages: picture\n")
    return tmp_path / "products.csv"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_version() -> None:
    assert run("--version").output == f"kaleidobert {version('kaleidobert')}\n"


@pytest.mark.parametrize("verb", ["pretrain", "align"])
def test_help_names_every_preset(verb: str) -> None:
    words = set(run(verb, "--help").stdout.replace(",", " ").split())
    assert words >= {file.stem for file in PRESETS.glob("*.yaml")}


def test_only_tasks_that_can_be_trained_are_fine_tuned(tmp_path: Path) -> None:
    found = run("finetune", "kagl", "shop", "--model", tmp_path, "--out", tmp_path / "out")
    assert found.exit_code == 2 and "'kagl' is not one of" in found.stderr


def test_check_says_what_becomes_of_each_row_and_column(csv: Path) -> None:
    found = run("check", csv, "--columns", csv.with_name("columns.yaml"))
    assert found.exit_code == 0
    assert "20 rows -> 19 products with 19 photos" in found.stdout
    number = "attribute, a number"
    for column, what in {"prod_name": "title", "stock": number, "price": number, "season": "attribute"}.items():
        assert any(column in line and what in line for line in found.stdout.splitlines())
    assert "by a hash of the id" in found.stdout and "the first 48 × 56" in found.stdout
    assert "length is read as text, not as a number: '1 cm'" in found.stdout
    assert "1 of 20 rows could not be used (5.0%): " in found.stdout and "0.png" in found.stdout


def test_check_lists_the_attributes_that_nested_values_become(drawn_products, tmp_path: Path) -> None:
    (row,) = drawn_products(1, seed=0)
    (tmp_path / "1.png").write_bytes(row["images"][0])
    nested = {"attributes": '{"size": "M"}', "price": {"amount": 5}}
    (tmp_path / "shop.json").write_text(json.dumps([{"title": "Red shoe", "image": "1.png"} | nested]))
    found = json.loads(run("check", tmp_path / "shop.json", "--json", "-").stdout)["columns"]
    assert (found["size"], found["price.amount"]) == ("attribute", "attribute, a number")
    assert (found["attributes"], found["price"]) == ("its keys are attributes", "attributes price.*")


def test_check_ends_like_the_commands_that_would_refuse_the_catalogue(csv: Path) -> None:
    mapped = (csv, "--columns", csv.with_name("columns.yaml"))
    refused = run("check", *mapped, "--max-bad", 0)
    assert "20 rows -> 19 products" in refused.stdout
    assert isinstance(refused.exception, InputError) and "raise --max-bad" in str(refused.exception)
    assert "name it in a columns file" in str(run("check", csv).exception)


def test_figures_on_standard_output_stand_there_alone(csv: Path) -> None:
    found = run("check", csv, "--columns", csv.with_name("columns.yaml"), "--json", "-")
    figures = json.loads(found.stdout)
    assert (figures["rows"], figures["products"], figures["bad_rows"]) == (20, 19, 1)
    assert sum(figures["splits"].values()) == 19 and figures["columns"]["picture"] == "images"
    assert "20 rows -> 19 products" in found.stderr


def test_a_suggested_command_reads_the_catalogue_as_this_one_did(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kaleidobert.training.cached_features.build_features", lambda *_: {"train": 1})
    columns = csv.with_name("columns.yaml")
    done = run("features", csv, "--out", csv.parent, "--columns", columns, "--max-bad", 0.2)
    assert f"kaleidobert pretrain {csv} --columns {columns} --max-bad 0.2 --preset" in done.output.replace("\n", " ")
    assert data_arguments("my shop", None, "photos/{file}") == "'my shop' --image-template 'photos/{file}'"
