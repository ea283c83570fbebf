"""Which products an evaluation measures by default."""

import numpy as np
import pytest
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.data.reading import BY_DEFAULT
from kaleidobert.errors import InputError
from kaleidobert.evaluation.measured_split import measured_split, prepare_measured
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.scoring.memory_file import key_of
from kaleidobert.training.data_summary import TRAINED_PRODUCTS, count_trained


def test_a_folder_has_a_test_split_and_a_file_is_measured_whole(tmp_path):
    shop = tmp_path / "shop.csv"
    shop.write_text("")
    assert measured_split(tmp_path, None) == "test" and measured_split(shop, None) is None
    assert measured_split(shop, "validation") == "validation"


def test_products_that_a_run_was_trained_on_are_counted(tmp_path):
    np.save(tmp_path / TRAINED_PRODUCTS, [key_of("a"), key_of("b"), key_of("c")])
    assert count_trained(tmp_path, ["a", "x", "c"]) == 2
    assert count_trained(tmp_path / "of an earlier version", ["a"]) == 0
    (tmp_path / TRAINED_PRODUCTS).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"trained_products.npy is damaged .*: delete it"):
        count_trained(tmp_path, ["a"])


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("split, noted", [("train", True), ("test", False)])
def test_products_that_a_run_was_trained_on_are_noted(shapes, run, capsys, split, noted):
    prepare_measured(shapes, split, run, KaleidoBertImageProcessor(40), BY_DEFAULT)
    assert ("64 of the 64 products are some that" in capsys.readouterr().err) == noted


def test_a_run_that_cannot_be_written_to_is_refused_before_the_work(tmp_path):
    (tmp_path / "run").write_text("")  # no folder, so that nothing can be written there
    for arguments in (["evaluate", "retrieval", "shop"], ["fit-ranker", "shop"]):
        error = CliRunner().invoke(app, [*arguments, "--model", str(tmp_path / "run")]).exception
        assert isinstance(error, InputError) and "cannot be written" in str(error)
