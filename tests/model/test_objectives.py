"""What pre-training sums: each loss by a second route, and what it moves."""

import math

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.model import KaleidoBertForPreTraining, KaleidoBertForRetrieval
from kaleidobert.model.distributed import WHOLE_BATCH
from kaleidobert.model.losses import (
    NEAREST,
    RANDOM,
    SAME_SUBCATEGORY,
    also_fitting,
    contrastive_loss,
    feature_divergence,
)
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretext_objectives import encoded
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.model.pretraining import JointBatch

LOSSES = tuple(
    name for name in pretraining_losses() if name not in ("SPM", "PMI")
)  # not in the published levels; of candidates

HEADS = {
    "contrastive": ("kaleidobert.image_projection", "kaleidobert.text_projection", "logit_scale"),
    "AMLM": ("lm_head.",),
    "ITM": ("itm_head.",),
    "LM": ("lm_head.",),
    "RR": ("pretext_heads.0",),
    "JPS": ("pretext_heads.1",),
    "CP": ("pretext_heads.2",),
    "G2CM": ("pretext_heads.3",),
    "B2CM": ("pretext_heads.4",),
}
ALL_HEADS = tuple(prefix for prefixes in HEADS.values() for prefix in prefixes)
# a softmax does not see them: 0 but for rounding
UNSEEN_BIASES = ("attention.self.key.bias", "pretext_heads.2.out.bias")
SIX_LEVELS = [
    {"grid": 1, "task": "blank", "masked": 1},
    {"grid": 2, "task": "rotation"},
    {"grid": 3, "task": "jigsaw"},
    {"grid": 4, "task": "camouflage", "masked": 1},
    {"grid": 5, "task": None},
    {"grid": 6, "task": "blank", "masked": 4},
]


@pytest.fixture(params=[(0, "pyramid"), (1, "pyramid"), (1, "crops")], ids=["fusion0", "fusion1", "crops"])
def model(request, tiny_config):
    return fresh(tiny_config(fusion_layer=request.param[0], patch_features=request.param[1]))


@pytest.fixture
def one_model(tiny_config):
    return fresh(tiny_config(fusion_layer=1))


def fresh(config) -> KaleidoBertForPreTraining:
    torch.manual_seed(0)
    model = KaleidoBertForPreTraining(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def corrupted(model, pixels, features, batch) -> torch.Tensor:
    """What the single stream sees of photos with these labels and masked patches."""
    joint = JointBatch(None, None, batch["level_labels"], batch["masked_patches"], None, None)
    lenders = model._lenders(None, None, batch["lender_draws"], WHOLE_BATCH)
    return model._corrupt(pixels, features, joint, lenders, WHOLE_BATCH)


def statistics(model) -> dict[str, torch.Tensor]:
    encoder = model.kaleidobert.patch_encoder
    return {name: buffer.clone() for name, buffer in encoder.named_buffers() if "mean" in name or "var" in name}


def test_every_loss_moves_its_own_head_and_the_encoder_only(model, make_batch):
    parts = model(**make_batch(model.config)).losses
    assert set(parts) == set(LOSSES) == set(HEADS)
    names, parameters = zip(*model.named_parameters(), strict=True)
    moved_by_any = set()
    for loss, part in parts.items():
        gradients = torch.autograd.grad(part, parameters, retain_graph=True, allow_unused=True)
        moved = {n for n, g in zip(names, gradients, strict=True) if g is not None and g.abs().sum() > 0}
        moved_by_any |= moved
        for head in HEADS[loss]:
            assert any(name.startswith(head) for name in moved), f"{loss} does not move {head}"
        others = tuple(set(ALL_HEADS) - set(HEADS[loss]))  # AMLM and LM share the head over the vocabulary
        assert not [name for name in moved if name.startswith(others)], f"{loss} moves another's head"
        for part_of_encoder in ("bert.encoder.layer.0.", "patch_embeddings.feature", "bert.embeddings.word"):
            assert any(part_of_encoder in name for name in moved), f"{loss} does not reach {part_of_encoder}"
        assert any("patch_encoder.backbone" in name for name in moved)
        assert ("bert.encoder.layer.2" in str(moved)) == (loss != "contrastive" or model.config.fusion_layer == 0)
    unmoved = set(names) - moved_by_any
    assert not [name for name in unmoved if not name.endswith(UNSEEN_BIASES)]


@pytest.mark.parametrize("weights", [{}, {"AMLM": 0.25, "contrastive": 3.0, "B2CM": 0.0}])
def test_the_total_is_the_weighted_sum(one_model, make_batch, weights):
    one_model.objectives = Objectives(weights)
    output = one_model(**make_batch(one_model.config))
    assert set(output.losses) == {name for name in LOSSES if weights.get(name, 1)}
    expected = sum(weights.get(name, 1) * part.item() for name, part in output.losses.items())
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)


def test_weight_zero_switches_a_loss_off(one_model, make_batch):
    one_model.objectives = Objectives({"AMLM": 0.0, "LM": 0.0, "RR": 0.0})
    one_model(**make_batch(one_model.config)).loss.backward()
    sums = {n: 0.0 if p.grad is None else p.grad.abs().sum().item() for n, p in one_model.named_parameters()}
    for name, total in sums.items():
        if name.endswith(UNSEEN_BIASES):
            continue
        off = name.startswith(("lm_head.", "pretext_heads.0"))
        assert (total == 0) == off, name


@pytest.mark.parametrize("joint_samples", [0, 1])
def test_fewer_than_two_products_have_no_joint_objectives(one_model, make_batch, joint_samples):
    batch = make_batch(one_model.config)
    parts = one_model(**batch | {"negative_draws": batch["negative_draws"][:, :joint_samples]}).losses
    assert set(parts) == {"contrastive", "LM"}  # which need no other products


def test_only_the_first_products_reach_the_joint_model(one_model, make_batch):
    one_model.eval()
    batch = make_batch(one_model.config, products=5)
    joint = ("token_labels", "level_labels", "masked_patches", "lender_draws")
    three = batch | {name: batch[name][:3] for name in joint}
    three["negative_draws"] = batch["negative_draws"][:, :3]
    some = one_model(**three).losses
    three["masked_ids"] = three["masked_ids"].clone()
    three["masked_ids"][3:] = three["masked_ids"][:2]
    again = one_model(**three).losses
    for name in set(LOSSES) - {"ITM"}:  # its wrong texts may come from the whole batch
        assert again[name] == some[name]
    assert one_model(**batch).losses["AMLM"] != some["AMLM"]


def test_losses_by_a_second_route(model, make_batch):
    """Contrastive, AMLM, RR and B2CM computed here from the entries and heads, on matching pairs alone."""
    model.eval()
    batch = make_batch(model.config)
    parts = model(**batch).losses
    image = model.kaleidobert.encode_image(batch["pixel_values"])
    text = model.kaleidobert.encode_text(batch["input_ids"], batch["attention_mask"])
    patches = corrupted(model, batch["pixel_values"], image.patch_features, batch)
    tokens = model.kaleidobert.embed_tokens(batch["masked_ids"], batch["attention_mask"])
    embedded = model.kaleidobert.embed_patches(patches)
    joint = model.kaleidobert.encode_pair(tokens, batch["attention_mask"], embedded).last_hidden_state
    joint_tokens, joint_patches = joint[:, :8], joint[:, 8:]
    turned = F.cross_entropy(model.pretext_heads["0"](joint_patches[:, :1]), batch["level_labels"][:, 0])
    chosen = batch["masked_patches"][:, 30:]
    blanked = model.pretext_heads["4"](joint_patches[:, 30:])[chosen]
    words = model.lm_head(joint_tokens)
    expected = {
        "contrastive": contrastive_loss(
            image.image_embeds, text.text_embeds, model.scale(), also_fitting(batch["text_group"])
        ),
        "AMLM": F.cross_entropy(words.flatten(0, 1), batch["token_labels"].flatten()),
        "RR": turned,
        "B2CM": feature_divergence(blanked, image.patch_features[:, 30:][chosen], 1.0),
    }
    assert chosen.sum() == 12
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-3), name


def test_only_matching_pairs_feed_what_is_not_matching(one_model, make_batch):
    """Other draws pick other wrong partners: ITM changes, the rest does not."""
    one_model.eval()
    batch = make_batch(one_model.config)
    before = one_model(**batch).losses
    after = one_model(**(batch | {"negative_draws": 1 - batch["negative_draws"]})).losses
    assert after["ITM"] != before["ITM"]
    assert all(after[name] == before[name] for name in set(LOSSES) - {"ITM"})


def test_products_with_equal_texts_are_no_wrong_pairs(one_model, make_batch):
    """With one text for all there are no wrong pairs, and ITM has matching ones alone."""
    one_model.eval()
    batch = make_batch(one_model.config) | {"text_group": torch.zeros(4, dtype=torch.long)}
    output = one_model(**batch)
    image = one_model.kaleidobert.encode_image(batch["pixel_values"])
    features = corrupted(one_model, batch["pixel_values"], image.patch_features, batch)
    patches = one_model.kaleidobert.embed_patches(features)
    logits = one_model.itm_logits(batch["masked_ids"], batch["attention_mask"], patches)
    assert output.losses["ITM"].item() == pytest.approx(F.softplus(-logits).mean().item(), rel=1e-3)
    assert torch.isfinite(output.loss)


def test_label_zero_and_nothing_hidden_leave_the_features_as_they_are(model, make_batch):
    model.eval()
    batch = make_batch(model.config)
    pixels = F.avg_pool2d(batch["pixel_values"], 5, 1, 2)
    features = model.kaleidobert.encode_image(pixels).patch_features
    none = torch.zeros_like(batch["masked_patches"])
    nothing = batch | {"level_labels": torch.zeros_like(batch["level_labels"]), "masked_patches": none}
    same = corrupted(model, pixels, features, nothing)
    torch.testing.assert_close(same, features, atol=1e-4, rtol=1e-4)


def test_each_corruption_touches_its_own_level_and_hidden_patches_only(model, make_batch):
    model.eval()
    batch = make_batch(model.config)
    pixels, hidden = batch["pixel_values"], batch["masked_patches"]
    features = model.kaleidobert.encode_image(pixels).patch_features
    found = corrupted(model, pixels, features, batch | {"level_labels": torch.full((4, 5), 1)})
    changed = (found - features).abs().amax(dim=-1) > 1e-4  # (4, 55)
    assert changed[:, :1].all()  # a quarter turn
    assert changed[:, 1:5].tolist() == [[False, False, True, True]] * 4  # the second order swaps the last two
    assert torch.equal(changed[:, 5:], hidden[:, 5:])
    assert not found[:, 30:][hidden[:, 30:]].any()  # blank
    lenders = model._lenders(None, None, batch["lender_draws"], WHOLE_BATCH)
    expected = features[lenders][:, 5:14][hidden[:, 5:14]]
    assert torch.equal(found[:, 5:14][hidden[:, 5:14]], expected)  # camouflage: another product's


def test_accuracies(one_model, make_batch):
    one_model.eval()
    batch = make_batch(one_model.config)
    for index in range(3):
        one_model.pretext_heads[str(index)].out.weight.data.zero_()
        one_model.pretext_heads[str(index)].out.bias.data.zero_()
    one_model.pretext_heads["0"].out.bias.data[2] = 1
    one_model.pretext_heads["1"].out.bias.data[5] = 1
    labels = batch["level_labels"]
    labels[:, 0] = torch.tensor([2, 2, 1, 2])
    labels[:, 1] = torch.tensor([5, 0, 0, 0])
    one_model.itm_head.score.weight.data.zero_()
    one_model.itm_head.score.bias.data.fill_(1.0)  # everything matches: half of a balanced accuracy
    accuracies = one_model(**batch).accuracies
    assert accuracies["RR"] == 0.75
    assert accuracies["JPS"] == 0.25
    assert accuracies["ITM"] == 0.5
    assert set(accuracies) == {"ITM", "RR", "JPS", "CP"}


def test_negatives_turn_harder_for_good_each_time_that_matching_is_good_enough(one_model, make_batch):
    batch = make_batch(one_model.config)
    one_model.match_accuracy.fill_(0.9)
    one_model.eval()(**batch)
    assert one_model.negatives == RANDOM and one_model.match_accuracy == pytest.approx(0.9)  # validation tells nothing
    for grade in (SAME_SUBCATEGORY, NEAREST, NEAREST):
        one_model.match_accuracy.fill_(0.9)
        one_model.train()(**batch)
        assert one_model.negatives == grade
    one_model.match_accuracy.fill_(0.1)
    one_model(**batch)
    assert one_model.negatives == NEAREST


@pytest.mark.parametrize("features", ["pyramid", "crops"])
@pytest.mark.parametrize("fusion_layer", [0, 1])
def test_another_table_of_levels_trains_a_step(tiny_config, make_batch, features, fusion_layer):
    config = tiny_config(levels=SIX_LEVELS, patch_features=features, fusion_layer=fusion_layer)
    model = fresh(config)
    batch = make_batch(config)
    before = model(**batch)
    assert set(before.losses) == set(LOSSES) - {"G2CM", "B2CM"} | {"B2CM_1x1", "B2CM_6x6"}
    assert set(model.pretext_heads) == {"0", "1", "2", "3", "5"}  # level 5 has no task
    assert [len(model.state_dict()[f"pretext_heads.{level}.out.bias"]) for level in (1, 2, 3)] == [4, 24, 1]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(4):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = model(**batch)
    assert after.loss < before.loss - 0.5
    assert model.kaleidobert.embed_patches(torch.zeros(4, 91, 16)).shape == (4, 91, 32)


def test_two_levels_of_one_task_have_figures_of_their_own_and_one_weight(tiny_config, make_batch):
    levels = [{"grid": 1, "task": "rotation"}, {"grid": 2, "task": "rotation"}]
    model = fresh(tiny_config(levels=levels)).eval()
    model.objectives = Objectives({"RR": 0.5})
    batch = make_batch(model.config)
    for index, certain in (("0", False), ("1", True)):
        model.pretext_heads[index].out.weight.data.zero_()
        model.pretext_heads[index].out.bias.data = torch.tensor([3.0, 0, 0, 0]) if certain else torch.zeros(4)
    batch["level_labels"] = torch.tensor([[1, 0], [2, 0], [3, 0], [0, 0]])
    output = model(**batch)
    assert set(output.losses) == {"contrastive", "AMLM", "ITM", "LM", "RR_1x1", "RR_2x2"}
    assert output.losses["RR_1x1"].item() == pytest.approx(math.log(4), rel=1e-5)
    assert output.losses["RR_2x2"].item() == pytest.approx(math.log(1 + 3 * math.exp(-3)), rel=1e-5)
    assert output.accuracies["RR_1x1"] == 0.25 and output.accuracies["RR_2x2"] == 1
    for level in ("RR_1x1", "RR_2x2"):
        assert output.references[f"{level}_chance"].item() == pytest.approx(math.log(4))
        assert output.references[f"{level}_accuracy_chance"] == 0.25
    expected = sum((0.5 if name.startswith("RR") else 1) * part.item() for name, part in output.losses.items())
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)


def test_corrupted_photos_are_normalised_by_their_own_batch(one_model, make_batch):
    """Running statistics, constants to the gradients, would let every step make the weights larger."""
    pixels, encoder = make_batch(one_model.config)["pixel_values"], one_model.train().kaleidobert.patch_encoder
    convolution = next(module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d))
    features = encoded(encoder, pixels, one_model.config.level_table)
    (features * torch.randn_like(features)).sum().backward()
    growth = (convolution.weight * convolution.weight.grad).sum()
    assert abs(growth) < 1e-3 * convolution.weight.norm() * convolution.weight.grad.norm()


def test_corrupted_photos_leave_the_batch_statistics_alone(one_model, make_batch):
    """A training step moves them exactly as the whole photos alone do."""
    batch = make_batch(one_model.config)
    start = {name: value.clone() for name, value in one_model.state_dict().items()}
    one_model.train()(**batch)
    after_step = statistics(one_model)
    one_model.load_state_dict(start)
    one_model.kaleidobert.encode_image(batch["pixel_values"])
    assert all(torch.equal(value, after_step[name]) for name, value in statistics(one_model).items())
    assert any(
        not torch.equal(value, start["kaleidobert.patch_encoder." + name])
        for name, value in after_step.items()
        if "running" in name
    )
    assert one_model.kaleidobert.patch_encoder.training


@pytest.mark.parametrize("loaded", [False, True], ids=["new", "loaded"])
@pytest.mark.parametrize("kind", [KaleidoBertForPreTraining, KaleidoBertForRetrieval])
def test_a_frozen_backbone_gets_no_gradient_and_keeps_its_statistics(tiny_config, make_batch, tmp_path, loaded, kind):
    model = kind(tiny_config())
    if loaded:
        model.save_pretrained(tmp_path)
        model = kind.from_pretrained(tmp_path)
    model.kaleidobert.freeze_backbone()
    model.train()
    before = statistics(model)
    batch = make_batch(model.config)
    if kind is KaleidoBertForRetrieval:
        batch = {n: batch[n] for n in ("pixel_values", "input_ids", "attention_mask", "text_group", "negative_draws")}
    model(**batch).loss.backward()
    encoder = model.kaleidobert.patch_encoder
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in statistics(model).items())
    assert not encoder.training
    assert model.kaleidobert.patch_embeddings.feature.weight.grad.abs().sum() > 0


def test_retrieval_trains_with_its_losses(tiny_config, make_batch):
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=1))
    batch = make_batch(model.config)
    batch = {n: batch[n] for n in ("pixel_values", "input_ids", "attention_mask", "text_group", "negative_draws")}
    batch["negative_draws"] = batch["negative_draws"][:, :3]
    output = model(**batch)
    assert set(output.losses) == {"contrastive", "ITM"}
    assert output.loss.item() == pytest.approx(sum(part.item() for part in output.losses.values()))
    contrasted = model(**batch | {"negative_draws": None})  # as when the joint entry is not trained
    assert set(contrasted.losses) == {"contrastive"} and torch.isfinite(contrasted.loss)
