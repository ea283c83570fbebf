"""Letters and signs of a catalogue that a tokenizer which was not made for it loses, in every way that one comes in."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.training.finetune import finetune
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.settings import RUN_SETTINGS, load_settings

pytestmark = pytest.mark.usefixtures("shared_cache")
SHORT = "training.epochs=0.25"


@pytest.fixture(scope="module")
def hindi(shapes, tmp_path_factory):
    """The catalogue of shapes with Hindi in each title."""
    folder = tmp_path_factory.mktemp("hindi")
    for file in shapes.glob("*.parquet"):
        rows = pq.read_table(file).to_pylist()
        titled = [row | {"title": f"{row['title']} कुर्ती"} for row in rows]
        pq.write_table(pa.Table.from_pylist(titled), folder / file.name)
    return folder


def test_of_a_tokenizer_that_was_published(hindi, settings, tmp_path, caplog):
    train_tokenizer(["red shirt"] * 3, "wordpiece", 60).save_pretrained(tmp_path / "english")
    pretrain(hindi, tmp_path / "run", settings(f"tokenizer.kind={tmp_path / 'english'}", SHORT))
    line = f"the tokenizer {tmp_path / 'english'} loses letters or signs of 100 % of the texts"
    assert caplog.text.count(line) == 1 and "set tokenizer.kind=wordpiece" in caplog.text


def test_of_another_run_s_tokenizer(hindi, run, settings, tmp_path, caplog):
    pretrain(hindi, tmp_path / "run", settings(f"initial.run={run}", SHORT))
    assert (
        "initial.run's tokenizer loses letters or signs of 100 % of the texts, such as those of 'कुर्ती'" in caplog.text
    )
    finetune("retrieval", hindi, run, tmp_path / "tuned", load_settings(str(run / RUN_SETTINGS), [SHORT]))
    assert f"the tokenizer of {run} loses letters" in caplog.text and "pre-train on this catalogue" in caplog.text


def test_nothing_is_lost_by_one_that_is_trained_on_the_catalogue(hindi, settings, tmp_path, caplog):
    pretrain(hindi, tmp_path / "run", settings(SHORT))
    assert "loses" not in caplog.text
