"""What the joint model reads of photos, kept in memory: the same as without, never older than the index, bounded."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fixtures.memory_index import MemoryIndex
from fixtures.shop import JOINT, Shop, drawn, loaded
from kaleidobert.data.readers import Problems
from kaleidobert.index.embedder import Embedder
from kaleidobert.index.filters import NO_FILTERS
from kaleidobert.index.records import Candidate, ViewKey
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.search.photo_cache import PhotoCache

TEXT = "red ellipse bag"


class CountingIndex(MemoryIndex):
    """Counts the photos whose states are read."""

    reads = 0

    def states(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        wanted = list(keys)
        self.reads += len(wanted)
        return super().states(wanted)


@pytest.fixture(params=[0.0, 0.5], ids=["without-prefix", "prefix"])
def scorer(request: pytest.FixtureRequest, shop: Shop) -> KaleidoBertScorer:
    """A scorer whose joint score uses no prefix of the photos, or one for the LM."""
    loaded_one = loaded(shop.model_folder)
    return loaded_one.with_weights(replace(loaded_one.weights, lm_weight=request.param))


@pytest.fixture
def counted(shop: Shop) -> CountingIndex:
    found = shop.in_memory().index
    assert isinstance(found, MemoryIndex)
    index = CountingIndex(found.info)
    index.upsert(Embedder(loaded(shop.model_folder)).embed(shop.products, 5, Problems()))
    return index


def candidates(index: MemoryIndex) -> list[Candidate]:
    vector = np.ones(index.info.vector_size, dtype=np.float32)
    return index.recall(vector, 12, NO_FILTERS)


def test_photos_are_read_and_encoded_once(shop: Shop, counted: CountingIndex) -> None:
    scorer = loaded(shop.model_folder)
    cache, products = PhotoCache(scorer, counted), candidates(counted)
    first, again = cache.photos([*products, *products[:3]]), cache.photos(products[:5])
    assert counted.reads == len(products)
    assert first.rows.tolist() == [*range(12), 0, 1, 2] and again.rows.tolist() == [0, 1, 2, 3, 4]
    text = scorer.encode_texts([TEXT])
    ids, mask = text.input_ids.expand(5, -1), text.attention_mask.expand(5, -1)
    fresh = scorer.joint_scores(ids, mask, first.states[:5])
    rows = torch.tensor(again.rows)
    found = scorer.joint_scores(ids, mask, again.states, rows, prefix=again.prefix)
    torch.testing.assert_close(found, fresh, atol=2e-3, rtol=0)  # kept in half precision


def test_a_deleted_photo_is_missing_and_its_product_stays_by_its_embedding(shop: Shop, counted: CountingIndex) -> None:
    products = candidates(counted)
    counted.delete([products[1].id])
    batch = PhotoCache(loaded(shop.model_folder), counted).photos(products[:3])
    assert batch.rows.tolist() == [0, -1, 1] and batch.ids == [products[0].id, products[2].id]
    assert PhotoCache(loaded(shop.model_folder), counted).photos([products[1]]).rows.tolist() == [-1]


@pytest.mark.parametrize("content", ["known", ""])
def test_a_replaced_photo_is_read_again(shop: Shop, counted: CountingIndex, content: str) -> None:
    embedder = Embedder(loaded(shop.model_folder))
    searched = Shop("", shop.model_folder, index=counted).ranker(**JOINT)
    before = {hit.product.id: hit.score for hit in searched.search(TEXT, top=12)}
    changed = replace(shop.products[5], images=(drawn("red", "rectangle"),))
    (view,) = embedder.embed([changed], 5, Problems())
    counted.upsert([replace(view, content=content and view.content)])
    after = {hit.product.id: hit.score for hit in searched.search(TEXT, top=12)}
    fresh = Shop("", shop.model_folder, index=counted).ranker(**JOINT).search(TEXT, top=12)
    assert after == pytest.approx({hit.product.id: hit.score for hit in fresh}, abs=1e-5)
    assert after[changed.id] != pytest.approx(before[changed.id], abs=1e-5)


def test_the_memory_is_bounded(scorer: KaleidoBertScorer, counted: CountingIndex) -> None:
    products = candidates(counted)
    photos = PhotoCache(scorer, counted)
    photos.photos(products[:1])
    size = int(photos._cached.currsize)
    cache = PhotoCache(scorer, counted, size=4 * size)
    assert len(cache.photos(products).rows) == 12
    counted.reads = 0
    cache.photos(products[-4:])
    assert counted.reads == 0
    cache.photos(products[:8])
    assert counted.reads == 8
