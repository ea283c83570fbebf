"""Captioning metrics of the COCO tools (SEED: FC): texts in, percentages out."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kaleidobert.errors import InputError

METRICS = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE")
PACKAGE = "pycocoevalcap"
SPICE_MODELS = "stanford-corenlp-3.6.0-models.jar"  # 400 MB that the package lacks, and would fetch unasked


def check_tools() -> None:
    """Raises ``InputError`` where the metrics' package or the Java that it runs is missing."""
    if find_spec(PACKAGE) is None:
        raise InputError(f"captions are measured by {PACKAGE}; install it with: pip install 'kaleidobert[metrics]'")
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True).returncode:
        raise InputError("captions are measured by Java programs, and there is no working java; install a Java runtime")


def caption_figures(references: Sequence[str], captions: Sequence[str]) -> dict[str, Any]:
    """One reference and one caption a photo -> each metric in percent (CIDEr 1.0 is 100), and SumCAP, their sum.

    ``SumCAP_of`` names the metrics that were computed. What could not be is None, and ``not_computed`` says why.
    """
    check_tools()
    truth, said = _tokenized(references), _tokenized(captions)
    figures: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name in METRICS:
        try:
            figures[name] = 100 * float(SCORERS[name](truth, said))
        except Exception as error:  # a Java program that fails takes one metric along, not the others
            figures[name], reasons[name] = None, " ".join(f"{type(error).__name__}: {error}".split())[:200]
    computed = [name for name in METRICS if figures[name] is not None]
    figures["SumCAP"] = sum(figures[name] for name in computed) if computed else None
    figures["SumCAP_of"] = computed
    return figures | {"not_computed": reasons}


Texts = dict[int, list[str]]  # by photo, each one text


def _tokenized(texts: Sequence[str]) -> Texts:
    """As all captions on COCO are: by the Penn Treebank's rules, in lower case, without punctuation."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    lines = {number: [{"caption": " ".join(text.split())}] for number, text in enumerate(texts)}
    return PTBTokenizer().tokenize(lines)


def _bleu_4(truth: Texts, said: Texts) -> float:
    from pycocoevalcap.bleu.bleu import Bleu

    return Bleu(4).compute_score(truth, said, verbose=0)[0][3]


def _meteor(truth: Texts, said: Texts) -> float:
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor().compute_score(truth, said)[0]


def _rouge_l(truth: Texts, said: Texts) -> float:
    from pycocoevalcap.rouge.rouge import Rouge

    return Rouge().compute_score(truth, said)[0]


def _cider(truth: Texts, said: Texts) -> float:
    from pycocoevalcap.cider.cider import Cider

    return Cider().compute_score(truth, said)[0]


def _spice(truth: Texts, said: Texts) -> float:
    import pycocoevalcap.spice

    models = Path(list(pycocoevalcap.spice.__path__)[0]) / "lib" / SPICE_MODELS
    if not models.is_file():
        raise FileNotFoundError(f"CoreNLP's models are not there ({models})")
    from pycocoevalcap.spice.spice import Spice

    return Spice().compute_score(truth, said)[0]


SCORERS: dict[str, Callable[[Texts, Texts], float]] = {
    "BLEU-4": _bleu_4,
    "METEOR": _meteor,
    "ROUGE-L": _rouge_l,
    "CIDEr": _cider,
    "SPICE": _spice,
}
