"""Published tokenizers, whatever the ids of their special tokens: masking, training, captions, saving."""

import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer

from kaleidobert.alignment.masking import special_tokens
from kaleidobert.alignment.pair_store import Alignment
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED
from kaleidobert.model import (
    KaleidoBertForCaptioning,
    KaleidoBertForPreTraining,
    KaleidoBertImageProcessor,
    KaleidoBertProcessor,
)
from kaleidobert.model.describing import generate_captions
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.tokenizer import load_tokenizer
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.pretraining_collator import PreTrainingCollator
from kaleidobert.training.sampling import Draw


def config_for(tokenizer, tiny_config):
    config = tiny_config(vocab_size=len(tokenizer), fusion_layer=1)
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    return config


def test_the_layouts_are_those_of_the_published_tokenizers(any_tokenizer, request):
    layout = request.node.callspec.params["any_tokenizer"]
    tokens = ("cls", "pad", "sep", "unk", "mask")
    ids = [getattr(any_tokenizer, f"{token}_token_id") for token in tokens]
    last = len(any_tokenizer) - 1
    expected = {"bert": [11, 0, 12, 10, 13], "extra specials": [2, 0, 3, 1, 4]}.get(layout, [0, 1, 2, 3, last])
    assert ids == expected
    if layout == "extra specials":
        assert special_tokens(any_tokenizer) == {0, 1, 2, 3, 4, last - 1, last}


def test_masked_tokens_are_replaced_by_ordinary_ones(any_tokenizer, catalogue):
    collator = PreTrainingCollator(catalogue, any_tokenizer, PUBLISHED, seed=1, augmented=False, joint_samples=64)
    special = torch.tensor(sorted(special_tokens(any_tokenizer)))
    replaced, chosen_count = [], 0
    for epoch in range(40):
        batch = collator.collate([Draw(index, epoch) for index in range(64)])
        chosen = batch["token_labels"] != NO_LABEL
        assert torch.equal(batch["masked_ids"][~chosen], batch["input_ids"][~chosen])
        assert not torch.isin(batch["input_ids"][chosen], special).any()
        after = batch["masked_ids"][chosen]
        mask = after == any_tokenizer.mask_token_id
        assert not torch.isin(after[~mask], special).any()
        assert after.max() < len(any_tokenizer)
        replaced.append(after[~mask & (after != batch["input_ids"][chosen])])
        chosen_count += int(chosen.sum())
    found = torch.cat(replaced)
    assert len(found) / chosen_count == pytest.approx(0.1, abs=0.03)
    ordinary = len(any_tokenizer) - len(special)
    assert len(found.unique()) > 0.4 * min(ordinary, len(found))  # from all over the vocabulary
    if any_tokenizer.mask_token_id < len(any_tokenizer) - 1:
        assert (found > any_tokenizer.mask_token_id).any()
    else:
        assert (found < any_tokenizer.mask_token_id).all()


def test_aligned_pairs_guide_the_masking(any_tokenizer, catalogue, aligned):
    """Of the pair (first word, upper left patch of level 5) exactly one side is masked."""
    collator = PreTrainingCollator(
        catalogue, any_tokenizer, PUBLISHED, 1, augmented=False, joint_samples=64, alignment=Alignment.load(aligned)
    )
    draws = [Draw(index) for index in range(64)]
    batch, encoded = collator.collate(draws), collator.encode(draws, collator.generators(draws))
    first = torch.tensor([[word == 0 for word in encoded.word_ids(row)] for row in range(64)])
    word = ((batch["token_labels"] != NO_LABEL) & first).any(dim=1)
    assert (word ^ batch["masked_patches"][:, 30]).all() and word.any() and not word.all()
    assert (batch["guided"] > 0).all()


def test_dropped_words_keep_the_first_and_last_token(any_tokenizer, catalogue):
    collator = PairCollator(catalogue, any_tokenizer, seed=1, augmented=True, word_dropout=0.4, levels=PUBLISHED)
    batch = collator(range(64))
    lengths = batch["query_mask"].sum(dim=1)
    assert (lengths < batch["attention_mask"].sum(dim=1)).any() and lengths.min() >= 3
    assert (batch["query_ids"][:, 0] == any_tokenizer.cls_token_id).all()
    assert (batch["query_ids"][torch.arange(64), lengths - 1] == any_tokenizer.sep_token_id).all()


def test_a_training_step_and_padding_that_does_not_matter(any_tokenizer, catalogue, tiny_config):
    torch.manual_seed(0)
    model = KaleidoBertForPreTraining(config_for(any_tokenizer, tiny_config))
    collator = PreTrainingCollator(catalogue, any_tokenizer, PUBLISHED, seed=1, augmented=True, joint_samples=8)
    output = model(**collator(list(range(16))))
    output.loss.backward()
    assert torch.isfinite(output.loss)
    words = model.kaleidobert.bert.embeddings.word_embeddings
    assert words.padding_idx == any_tokenizer.pad_token_id
    short, long = (any_tokenizer(text, return_tensors="pt") for text in ("red bag", "purple square shirt bag"))
    both = any_tokenizer(["red bag", "purple square shirt bag"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        model.eval()
        apart = [
            model.kaleidobert.encode_text(each["input_ids"], each["attention_mask"]).text_embeds[0]
            for each in (short, long)
        ]
        together = model.kaleidobert.encode_text(both["input_ids"], both["attention_mask"]).text_embeds
    torch.testing.assert_close(together, torch.stack(apart), atol=1e-5, rtol=1e-4)


def test_captions_hold_no_special_tokens(any_tokenizer, tiny_config):
    torch.manual_seed(0)
    model = KaleidoBertForCaptioning(config_for(any_tokenizer, tiny_config)).eval()
    processor = KaleidoBertProcessor(KaleidoBertImageProcessor(40), any_tokenizer)
    end = any_tokenizer.sep_token_id
    suppressed = sorted(special_tokens(any_tokenizer) - {end})
    model.set_special_tokens(any_tokenizer.cls_token_id, end, any_tokenizer.pad_token_id, suppressed)
    texts = generate_captions(model, processor, torch.rand(3, 3, 40, 40))
    specials = [any_tokenizer.convert_ids_to_tokens(index) for index in special_tokens(any_tokenizer)]
    assert len(texts) == 3
    assert not any(token in text for text in texts for token in specials)
    assert all(text == text.strip() for text in texts)


def test_a_processor_with_it_is_saved_and_loaded(any_tokenizer, tmp_path, tiny_config):
    config_for(any_tokenizer, tiny_config).save_pretrained(tmp_path)  # as in a run folder
    processor = KaleidoBertProcessor(KaleidoBertImageProcessor(40), any_tokenizer)
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    texts = ["red circle bag", "a new zebra"]
    assert set(loaded(text=texts)) == {"input_ids", "attention_mask"}
    assert torch.equal(loaded(text=texts)["input_ids"], processor(text=texts)["input_ids"])
    assert AutoTokenizer.from_pretrained(tmp_path).mask_token_id == any_tokenizer.mask_token_id


def test_it_can_be_loaded_by_folder(any_tokenizer, tmp_path):
    any_tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path), max_length=9)
    assert loaded.model_max_length == 9 and len(loaded) == len(any_tokenizer)
    assert loaded("red circle bag")["input_ids"] == any_tokenizer("red circle bag")["input_ids"]


def test_tokenizers_that_do_not_fit_are_refused(any_tokenizer, tmp_path):
    with pytest.raises(InputError, match="gone: cannot be loaded"):
        load_tokenizer(str(tmp_path / "gone"), 9)
    any_tokenizer.save_pretrained(tmp_path / "whole")
    without_mask = AutoTokenizer.from_pretrained(tmp_path / "whole")
    without_mask.mask_token = None
    without_mask.save_pretrained(tmp_path / "no-mask")
    with pytest.raises(InputError, match="no-mask: it has no mask token"):
        load_tokenizer(str(tmp_path / "no-mask"), 9)
