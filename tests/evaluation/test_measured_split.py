"""Which products an evaluation measures by default."""

import json

from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.measured_split import measured_split


def test_a_folder_has_a_test_split_and_a_file_is_measured_whole(tmp_path, capsys):
    run, shop, other = tmp_path / "run", tmp_path / "shop.csv", tmp_path / "other.csv"
    run.mkdir()
    (run / "data.json").write_text(json.dumps({"data": "shop.csv", "splits": {}}))
    shop.write_text("")
    other.write_text("")
    assert measured_split(tmp_path, None, run) == "test" and measured_split(other, None, run) is None
    assert measured_split(shop, "validation", run) == "validation" and not capsys.readouterr().err
    assert measured_split(shop, None, run) is None
    assert f"also those that {run} was trained on; --split test leaves them out" in capsys.readouterr().err


def test_a_run_that_cannot_be_written_to_is_refused_before_the_work(tmp_path):
    (tmp_path / "run").write_text("")  # no folder, so that nothing can be written there
    for arguments in (["evaluate", "retrieval", "shop"], ["fit-ranker", "shop"]):
        error = CliRunner().invoke(app, [*arguments, "--model", str(tmp_path / "run")]).exception
        assert isinstance(error, InputError) and "cannot be written" in str(error)
