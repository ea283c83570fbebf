"""Fashion-Gen's HDF5 files."""

import h5py
import numpy as np
import pytest

from fixtures.source_files import ids
from kaleidobert.data.readers import read_products, splits_of
from kaleidobert.errors import InputError


def write_fashion_gen(path, product_ids):
    """Fashion-Gen's keys, shapes and types; rows of one product hold that product's texts."""
    count = len(product_ids)
    texts = {
        **{"name": "BLACK ÇANTA {}", "description": "Long sleeve {}.<br>Ribbed collar.", "category": "TOPS"},
        **{
            "subcategory": "T-SHIRTS",
            "gender": "Men",
            "season": "SS2017",
            "brand": "Y-3",
            "pose": "id_gridfs_1",
        },
        **{"department": "CLOTHING", "composition": "100% cotton", "concat_description": "all of {}"},
    }
    with h5py.File(path, "w") as file:
        for key, text in texts.items():
            cells = [[text.format(product_id).encode("iso8859-9")] for product_id in product_ids]
            file.create_dataset(f"input_{key}", data=np.array(cells, dtype="S400"))
        file["input_productID"] = np.array(product_ids, dtype=np.int64)[:, None]
        file["input_msrpUSD"] = np.full((count, 1), 550, dtype=np.float32)
        file["index"] = np.arange(count)[:, None]
        file["index_2"] = np.arange(count)
        pixels = np.arange(count, dtype=np.uint8)[:, None, None, None]
        file["input_image"] = np.broadcast_to(pixels, (count, 256, 256, 3))
    return path


def test_fashion_gen_with_a_product_s_views_apart(tmp_path):
    path = write_fashion_gen(tmp_path / "fashiongen_256_256_train.h5", [70, 71, 70, 72, 71, 70])
    first, second, third = read_products(path)
    assert [product.id for product in (first, second, third)] == ["70", "71", "72"]
    assert (first.title, first.description) == ("BLACK ÇANTA 70", "Long sleeve 70. Ribbed collar.")
    assert (first.category, first.subcategory) == ("TOPS", "T-SHIRTS")
    assert first.attributes == {
        **{"gender": "Men", "season": "SS2017", "brand": "Y-3", "department": "CLOTHING"},
        **{"composition": "100% cotton", "msrpUSD": "550"},
    }
    views = [
        [product.open(view).getpixel((5, 5))[0] for view in range(len(product.images))] for product in (first, second)
    ]
    assert views == [[0, 2, 5], [1, 4]]
    assert first.images[0].startswith(b"\x89PNG")


def test_a_fashion_gen_folder_has_the_splits_of_its_files(tmp_path):
    write_fashion_gen(tmp_path / "fashiongen_256_256_train.h5", [1, 2])
    write_fashion_gen(tmp_path / "fashiongen_256_256_validation.h5", [3])
    assert splits_of(tmp_path) == ("train", "validation")
    assert ids(tmp_path, "validation") == ["3"]
    assert ids(tmp_path) == ["1", "2", "3"]
    with pytest.raises(InputError, match="no split 'test'; it has: train, validation"):
        read_products(tmp_path, "test")


def test_another_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(InputError, match="not Fashion-Gen: no input_image and no input_productID; it contains: images"):
        read_products(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"no")
    with pytest.raises(InputError, match="b.h5: not a readable HDF5 file"):
        read_products(tmp_path / "b.h5")
