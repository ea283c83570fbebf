"""`ranking.json` and `memory.safetensors` of a run, where they cannot be used."""

import pytest

from kaleidobert.errors import InputError
from kaleidobert.scoring.memory import MEMORY_FILE
from kaleidobert.scoring.ranking import RANKING_FILE
from kaleidobert.scoring.scorer import KaleidoBertScorer


@pytest.mark.parametrize(
    "name, content, message",
    [
        (RANKING_FILE, None, "{run} cannot rank yet, as it has no ranking.json: fit it with "),
        (RANKING_FILE, b"{", "{file} is damaged (Expecting property name"),
        (RANKING_FILE, b"[1]", "{file} is damaged ("),
        (RANKING_FILE, b'{"format": 2}', "{file} is damaged (it has no 'without_memory')"),
        (RANKING_FILE, b'{"format": 2, "without_memory": {"joint_wait": 1}}', "{file} is damaged ("),
        (
            RANKING_FILE,
            b'{"format": 2, "without_memory": {"itm_weight": 0, "lm_weight": 0}}',
            "(itm_weight and lm_weight are both 0; leave ",
        ),
        (
            RANKING_FILE,
            b'{"format": 9}',
            "{file} was fitted by another version (format 9, this version reads 2): fit it ",
        ),
        (MEMORY_FILE, b"half a file", "{file} is damaged ("),
    ],
)
def test_a_fit_that_is_missing_or_damaged_is_one_line(copy, name, content, message):
    """It says what, and what to run."""
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        KaleidoBertScorer.from_pretrained(copy)
    said = str(error.value)
    assert message.format(run=copy, file=copy / name) in said and "\n" not in said
    assert said.endswith(f"kaleidobert fit-ranker DATA --model {copy}")


def test_a_memory_that_lost_a_tensor_is_damaged(copy):
    """A file of whole tensors that are not all there."""
    memory = KaleidoBertScorer.from_pretrained(copy).memory
    with pytest.MonkeyPatch.context() as patch:
        state = memory.state_dict()
        kept = {name: each for name, each in state.items() if name != "layouts.basis"}
        patch.setattr(memory, "state_dict", lambda: kept)
        memory.save(copy)
    with pytest.raises(InputError, match=r"memory.safetensors is damaged \(it has no 'basis'\): delete it, and build"):
        KaleidoBertScorer.from_pretrained(copy)
