"""The model card of a run, and what is uploaded to a stand-in for the Hub on this machine."""

import base64
import json
import re
import threading
from ast import literal_eval
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard
from transformers.utils.hub import PushToHubMixin
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.model_card import GENERATED, push_run, write_model_card
from kaleidobert.evaluation.retrieval import SCORERS, evaluate_retrieval
from kaleidobert.model import KaleidoBertForPreTraining

pytestmark = pytest.mark.usefixtures("shared_cache")


class HubHandler(BaseHTTPRequestHandler):
    """Answers the requests of an upload and keeps what they ask for."""

    created: list[dict]
    commits: list[list[dict]]

    def do_POST(self) -> None:
        address = f"http://{self.headers['Host']}/shop/tiny"
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode().splitlines()
        body = [json.loads(line) for line in lines]
        if self.path == "/api/repos/create":
            self.created += body
            answer: dict = {"url": address}
        elif self.path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif self.path == "/api/models/shop/tiny/preupload/main":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in body[0]["files"]
            ]
            answer = {"files": files}
        else:
            assert self.path == "/api/models/shop/tiny/commit/main"
            self.commits.append(body)
            answer = {"commitUrl": f"{address}/commit/1", "commitOid": "1"}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[HubHandler]]]:
    """The address of a stand-in for the Hub, and the handler that keeps its requests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Handler", (HubHandler,), {"created": [], "commits": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_card_holds_data_objectives_figures_and_limits(copy: Path, shapes: Path) -> None:
    figures = evaluate_retrieval(shapes, copy, queries=20)
    path = write_model_card(copy, license="apache-2.0")
    assert path == copy / "README.md"
    card = ModelCard.load(path)
    assert card.data.license == "apache-2.0" and {"kaleidobert", "fashion"} <= set(card.data.tags)
    lines = card.text.splitlines()
    assert "| train | 64 | 72 |" in lines and "| validation | 32 | 36 |" in lines
    assert {"| contrastive | 1 |", "| B2CM | 1 |", "| LM | 1 |"} <= set(lines)
    assert "- encoder: 3 layers of 32 units, 2 heads, cross-modal from layer 1" in lines
    assert any(line.startswith("- training: ") and line.endswith("8 steps, 128 products seen") for line in lines)
    for scorer in SCORERS:
        row = next(line for line in lines if line.startswith(f"| {shapes.name} test, 101, 20 queries: {scorer} |"))
        values = [float(cell) for cell in row.split("|")[2:-1]]
        expected = [figures[scorer][direction][f"R@{k}"] for direction in ("TIR", "ITR") for k in (1, 5, 10)]
        assert values == pytest.approx([*expected, figures[scorer]["SumR"]], abs=0.051)
    assert f"- Trained only on {shapes.name}." in card.text and "judging people" in card.text


def test_tables_are_markdown(copy: Path, shapes: Path) -> None:
    """A heading, a rule and the rows follow one another, with the same number of cells."""
    evaluate_retrieval(shapes, copy, queries=20)
    lines = write_model_card(copy).read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("|---")]
    assert len(rules) == 3
    for number in rules:
        assert lines[number - 2] == "" and lines[number + 1].startswith("| ")
        assert lines[number - 1].count("|") == lines[number].count("|") == lines[number + 1].count("|")


def test_the_example_of_a_card_runs(copy: Path, monkeypatch, drawn_products, capsys) -> None:
    [code] = re.findall(r"```python\n(.*?)```", write_model_card(copy).read_text(), flags=re.DOTALL)
    monkeypatch.chdir(copy.parent)
    for name, product in zip(("dress.jpg", "shirt.jpg"), drawn_products(2, 9), strict=True):
        (copy.parent / name).write_bytes(product["images"][0])
    exec(code, {})
    assert sorted(each["index"] for each in literal_eval(capsys.readouterr().out)) == [0, 1]


def test_a_card_states_what_was_not_recorded(copy: Path) -> None:
    (copy / "data.json").unlink()
    card = ModelCard.load(write_model_card(copy))
    assert card.data.license == "unknown" and "Not recorded." in card.text and "Not evaluated." in card.text


def test_a_card_is_written_anew_until_a_user_edits_it(copy: Path, shapes: Path) -> None:
    write_model_card(copy)
    command = ["evaluate", "retrieval", str(shapes), "--model", str(copy), "--queries", "20"]
    assert CliRunner().invoke(app, command).exit_code == 0
    card = (copy / "README.md").read_text()
    assert "Not evaluated." not in card and "R@1" in card
    own = card.replace("## License", "## Licence of our shop").split(GENERATED)[0]
    (copy / "README.md").write_text(own)
    assert CliRunner().invoke(app, [*command, "--seed", "1"]).exit_code == 0
    assert (copy / "README.md").read_text() == own


def test_only_a_finished_run_has_a_card(run: Path, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        write_model_card(tmp_path)
    (copy / "config.json").unlink()
    with pytest.raises(InputError, match="no config.json"):
        write_model_card(copy)
    assert not (copy / "README.md").exists() and not (run / "README.md").exists()


def test_a_run_is_uploaded_with_its_card_and_without_checkpoints(
    copy: Path, shapes: Path, hub: tuple[str, type[HubHandler]], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_retrieval(shapes, copy, queries=20)
    private = ("checkpoints/checkpoint-8/model.safetensors", "logs/events", "evaluation/captions-test-20-beams3.json")
    for name in private:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("{}")
    endpoint, handler = hub
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "secret")
    result = CliRunner().invoke(app, ["push", str(copy), "shop/tiny", "--private", "--license", "mit"])
    assert result.exit_code == 0 and result.output == f"the run is at {endpoint}/shop/tiny/commit/1\n"
    [created], [commit] = handler.created, handler.commits
    assert (created["organization"], created["name"]) == ("shop", "tiny")
    assert created.get("private") or created.get("visibility") == "private"  # by the version of huggingface_hub
    assert ModelCard((copy / "README.md").read_text()).data.license == "mit"
    uploaded = {each["value"]["path"]: base64.b64decode(each["value"]["content"]) for each in commit[1:]}
    kept = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    candidates = "evaluation/candidates-test-101-20-seed0.json"
    assert kept - set(uploaded) == {*private, candidates, "memory.safetensors", "training_args.bin"}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "settings.yaml"} <= set(uploaded)
    assert "evaluation/retrieval-test-101-20-seed0.json" in uploaded
    assert not any(name.startswith(("checkpoints", "logs", "evaluation/ca")) for name in uploaded)
    assert uploaded["model.safetensors"] == (copy / "model.safetensors").read_bytes()
    assert 'snapshot_download("shop/tiny")' in uploaded["README.md"].decode()


def test_push_to_hub_takes_the_card_of_the_run(copy: Path, hub: tuple[str, type[HubHandler]], monkeypatch) -> None:
    write_model_card(copy, license="apache-2.0")
    endpoint, handler = hub
    monkeypatch.setattr("transformers.utils.hub._hf_api", HfApi(endpoint=endpoint))
    monkeypatch.setattr("transformers.utils.hub.create_and_tag_model_card", lambda *_, **__: ModelCard("---\n---\n"))
    model = KaleidoBertForPreTraining.from_pretrained(copy)
    model.push_to_hub("shop/tiny", token="secret")
    [commit] = handler.commits
    uploaded = {each["value"]["path"]: base64.b64decode(each["value"]["content"]) for each in commit[1:]}
    assert uploaded["README.md"] == (copy / "README.md").read_bytes() and "model.safetensors" in uploaded


@pytest.mark.parametrize(("repo_id", "reason"), [("shop/tiny", "onnect"), ("a b", "Repo id")])
def test_what_cannot_be_uploaded(copy: Path, monkeypatch: pytest.MonkeyPatch, repo_id: str, reason: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=f"cannot be uploaded to {repo_id}: .*{reason}"):
        push_run(copy, repo_id)


def test_a_model_of_no_run_takes_no_card(tiny_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the README of the folder that a program happens to run in."""
    (tmp_path / "README.md").write_text("private")
    (tmp_path / "upload").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PushToHubMixin, "_upload_modified_files", lambda *_, **__: None)
    KaleidoBertForPreTraining(tiny_config())._upload_modified_files(tmp_path / "upload")
    assert not list((tmp_path / "upload").iterdir())
