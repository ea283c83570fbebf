"""What `import kaleidobert` alone gives, each time in a process that has imported nothing before."""

import subprocess
import sys
from pathlib import Path

import pytest

import kaleidobert
from kaleidobert.model import KaleidoBertForPreTraining, KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.tokenizer import train_tokenizer

AUTO_CLASSES = """
import sys
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
AUTO = (AutoConfig, AutoModel, AutoModelForPreTraining, AutoProcessor, AutoImageProcessor, AutoTokenizer)
"""
LOAD = "print(*(type(auto.from_pretrained(sys.argv[1])).__name__ for auto in AUTO))"
CONSOLE_SCRIPT = "import sys\nfrom kaleidobert.cli.main import main\nsys.exit(main())\n"


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)


@pytest.fixture(scope="module")
def saved(tiny_config, tmp_path_factory) -> Path:
    """A model and its processor in one folder."""
    folder = tmp_path_factory.mktemp("saved")
    KaleidoBertForPreTraining(tiny_config()).save_pretrained(folder)
    tokenizer = train_tokenizer(["red circle shirt", "blue circle bag"] * 3, vocabulary=60, max_length=16)
    KaleidoBertProcessor(KaleidoBertImageProcessor(40), tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "code",
    [f"import kaleidobert\n{AUTO_CLASSES}\n{LOAD}", f"{AUTO_CLASSES}\nimport kaleidobert\n{LOAD}"],
    ids=["kaleidobert first", "transformers first"],
)
def test_auto_classes_load_a_saved_model_and_processor(saved, code):
    config, model, pretraining, processor, image_processor, tokenizer = run("-c", code, saved).stdout.split()
    assert (config, model) == ("KaleidoBertConfig", "KaleidoBertModel")
    assert pretraining == "KaleidoBertForPreTraining"
    assert (processor, image_processor) == ("KaleidoBertProcessor", "KaleidoBertImageProcessor")
    assert tokenizer in ("PreTrainedTokenizerFast", "TokenizersBackend")


def test_a_package_run_with_m_that_imports_kaleidobert_can_load(saved, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("import kaleidobert\n")
    (tmp_path / "shop" / "load.py").write_text(f"{AUTO_CLASSES}\n{LOAD}")
    assert "KaleidoBertModel" in run("-m", "shop.load", saved, cwd=tmp_path).stdout


def test_every_public_name_can_be_imported():
    names = ", ".join(kaleidobert.__all__)
    code = f"from kaleidobert import {names}\nprint(*(each.__name__ for each in ({names})))"
    assert run("-c", code).stdout.split() == kaleidobert.__all__
    assert set(kaleidobert.__all__) <= set(dir(kaleidobert))
    with pytest.raises(AttributeError, match="no attribute 'KaleidoBert'"):
        kaleidobert.KaleidoBert  # noqa: B018  # the access is the test


@pytest.mark.parametrize("entry", ["module", "script"])
def test_the_command_line_s_help_imports_neither_torch_nor_transformers(tmp_path, entry):
    script = tmp_path / "kaleidobert"
    script.write_text(CONSOLE_SCRIPT)
    finished = run("-X", "importtime", *(["-m", "kaleidobert"] if entry == "module" else [script]), "--help")
    imported = {line.rpartition("|")[2].strip() for line in finished.stderr.splitlines()}
    assert "pretrain" in finished.stdout and "kaleidobert.cli.main" in imported
    assert not imported & {"torch", "transformers", "numpy", "PIL.Image"}
