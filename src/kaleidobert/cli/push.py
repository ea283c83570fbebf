"""`kaleidobert push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    run: Annotated[Path, typer.Argument(help="The run folder, written by pretrain or finetune.")],
    repo: Annotated[str, typer.Argument(help="The repository on the Hugging Face Hub, such as my-shop/kaleidobert.")],
    license: Annotated[str | None, typer.Option(help="The license, such as apache-2.0.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
) -> None:
    """Upload a run to the Hugging Face Hub, with its model card and without checkpoints and the catalogue's texts.

    Log in first, with hf auth login or the environment variable HF_TOKEN.

    Example: kaleidobert push runs/shop my-shop/kaleidobert --license apache-2.0 --private
    """
    from kaleidobert.evaluation.model_card import push_run

    typer.echo(f"the run is at {push_run(run, repo, license, private or None)}")
