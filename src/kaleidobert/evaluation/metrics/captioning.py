"""Captioning metrics of the COCO evaluation tools: texts in, percentages out (patent: FC)."""

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
SPICE_MODELS = "stanford-corenlp-3.6.0-models.jar"  # 400 MB, not in the package, which would download it unasked


def check_dependencies() -> None:
    """Raises ``InputError`` where the metrics' package, or the Java runtime it needs, is missing."""
    if find_spec(PACKAGE) is None:
        raise InputError(f"captioning metrics need {PACKAGE}; install it with: pip install 'kaleidobert[metrics]'")
    java = shutil.which("java")
    if java is None or subprocess.run([java, "-version"], capture_output=True).returncode:
        raise InputError("captioning metrics need Java, and there is no working java; install a Java runtime")


def captioning_metrics(references: Sequence[str], captions: Sequence[str]) -> dict[str, Any]:
    """Each metric in percent (CIDEr 1.0 is 100), from one reference and one caption per photo, and SumCAP, their sum.

    A metric that cannot be computed is None, with the reason in ``not_computed``; ``SumCAP_of`` names the others.
    """
    check_dependencies()
    truth, generated = _tokenize(references), _tokenize(captions)
    metrics: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name in METRICS:
        try:
            metrics[name] = 100 * float(SCORERS[name](truth, generated))
        except Exception as error:  # where the Java program of one metric fails, the others are still computed
            metrics[name], reasons[name] = None, " ".join(f"{type(error).__name__}: {error}".split())[:200]
    computed = [name for name in METRICS if metrics[name] is not None]
    metrics["SumCAP"] = sum(metrics[name] for name in computed) if computed else None
    metrics["SumCAP_of"] = computed
    return metrics | {"not_computed": reasons}


Texts = dict[int, list[str]]  # photo -> its one text, tokenised


def _tokenize(texts: Sequence[str]) -> Texts:
    """The COCO tools' tokenisation: Penn Treebank rules, lower case, punctuation removed."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    lines = {number: [{"caption": " ".join(text.split())}] for number, text in enumerate(texts)}
    return PTBTokenizer().tokenize(lines)


def _bleu_4(truth: Texts, generated: Texts) -> float:
    from pycocoevalcap.bleu.bleu import Bleu

    return Bleu(4).compute_score(truth, generated, verbose=0)[0][3]


def _meteor(truth: Texts, generated: Texts) -> float:
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor().compute_score(truth, generated)[0]


def _rouge_l(truth: Texts, generated: Texts) -> float:
    from pycocoevalcap.rouge.rouge import Rouge

    return Rouge().compute_score(truth, generated)[0]


def _cider(truth: Texts, generated: Texts) -> float:
    from pycocoevalcap.cider.cider import Cider

    return Cider().compute_score(truth, generated)[0]


def _spice(truth: Texts, generated: Texts) -> float:
    import pycocoevalcap.spice

    models = Path(list(pycocoevalcap.spice.__path__)[0]) / "lib" / SPICE_MODELS
    if not models.is_file():
        raise FileNotFoundError(f"the models of CoreNLP are missing ({models})")
    from pycocoevalcap.spice.spice import Spice

    return Spice().compute_score(truth, generated)[0]


SCORERS: dict[str, Callable[[Texts, Texts], float]] = {
    "BLEU-4": _bleu_4,
    "METEOR": _meteor,
    "ROUGE-L": _rouge_l,
    "CIDEr": _cider,
    "SPICE": _spice,
}
