"""The model card of a run, and its upload to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import CommitInfo, HfApi, ModelCard, ModelCardData
from huggingface_hub.utils import filter_repo_objects

from kaleidobert.evaluation.rendering import render
from kaleidobert.evaluation.run_summary import RunSummary
from kaleidobert.evaluation.tables import evaluation_tables, load_evaluations
from kaleidobert.model.loading import load_config
from kaleidobert.training.data_summary import load_data_summary

NOT_UPLOADED = [
    "checkpoints/*",
    "logs/*",
    "training_args.bin",  # a pickle, with paths of the machine
    "evaluation/candidates-*.json",  # the catalogue's products
    "evaluation/captions-*.json",  # and their texts
    "*.part",
]


class Purpose(NamedTuple):
    """What a model is for: summary and intended use in Markdown, an example in Python, and tags of the Hub.

    ``code`` is given the path ``run``.
    """

    summary: str
    use: str
    imports: str
    code: str
    tags: list[str]
    pipeline_tag: str | None = None


RETRIEVAL = Purpose(
    summary="This model scores how well photos and texts of fashion products match.",
    use="Search a catalogue like the one it was trained on, by text or by photo (`kaleidobert index`, `kaleidobert "
    "search`), or fine-tune it for another task (`kaleidobert finetune`).",
    imports="from kaleidobert.model import load_run",
    code="model, processor = load_run(run)",
    tags=["image-text-retrieval", "image-feature-extraction"],
)
DESCRIBING_IMPORTS = "from PIL import Image\n\nfrom kaleidobert.model.describing import Describer"
CAPTIONING = Purpose(
    summary="This model generates a text for the photo of a fashion product.",
    use="Draft titles and descriptions of new products from their photos, for a person to check.",
    imports=DESCRIBING_IMPORTS,
    code='print(Describer([run]).describe(Image.open("photo.jpg"))["title"])',
    tags=["image-captioning"],
    pipeline_tag="image-to-text",
)


def _recognition(task: str) -> Purpose:
    return Purpose(
        summary=f"This model predicts the {task} of a fashion product from its photo, its text, or both.",
        use=f"Suggest the {task} of new products of the shop it was trained on. It knows no other classes.",
        imports=DESCRIBING_IMPORTS,
        code=f'print(Describer([run]).describe(Image.open("photo.jpg"), text="red dress")["{task}"])',
        tags=["image-classification"],
        pipeline_tag="image-classification",
    )


PURPOSES = {
    "": RETRIEVAL,  # pre-training, and fine-tuning for retrieval
    "category": _recognition("category"),
    "subcategory": _recognition("subcategory"),
    "captioning": CAPTIONING,
}


def write_model_card(run: Path, license: str | None = None, repo_id: str | None = None) -> Path:
    """Write README.md into a finished run: intended use, data, objectives, training, all evaluations and limits.

    license: an identifier of the Hub, such as "apache-2.0"; unknown by default. repo_id: the repository that the
    example loads from; by default it loads from a folder. Raises ``InputError`` where ``run`` is no finished run.
    """
    summary, config = RunSummary.load(run), load_config(run)
    purpose = PURPOSES[config.task]
    name = (repo_id or run.resolve().name).split("/")[-1]
    card_data = ModelCardData(
        library_name="kaleidobert",
        license=license or "unknown",
        pipeline_tag=purpose.pipeline_tag,
        tags=["kaleidobert", "fashion", "vision-language", *purpose.tags],
    )
    card = ModelCard(
        render(
            "model_card.md",
            card_data=card_data.to_yaml(),
            name=name,
            repo_id=repo_id,
            purpose=purpose,
            license=license,
            data=load_data_summary(run),
            model_class=(config.architectures or ["not recorded"])[0],
            objectives=summary.objectives,
            facts=summary.sizes(),
            tables=evaluation_tables(name, run),
            has_retrieval=bool(load_evaluations(run, "retrieval")),
        )
    )
    card.save(run / "README.md")
    return run / "README.md"


def files_to_upload(run: Path) -> list[str]:
    """Paths, relative to the run, of all its files but ``NOT_UPLOADED``."""
    paths = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    return list(filter_repo_objects(paths, ignore_patterns=NOT_UPLOADED))


def push_run(
    run: Path,
    repo_id: str,
    license: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    **commit: Any,
) -> CommitInfo:
    """Write the model card and upload `files_to_upload` to the Hub; creates the repository if there is none.

    ``commit``: further arguments of `HfApi.upload_folder`, such as commit_message, revision and create_pr.
    """
    write_model_card(run, license, repo_id)
    api = HfApi(endpoint=endpoint, token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return api.upload_folder(repo_id=repo_id, folder_path=run, ignore_patterns=NOT_UPLOADED, **commit)
