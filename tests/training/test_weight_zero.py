"""An objective of weight 0 is not computed: its head and its passes through the encoder are not run."""

from collections import defaultdict

import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_ranker import fit_ranker
from kaleidobert.model import KaleidoBertForPreTraining, KaleidoBertForRetrieval
from kaleidobert.model.losses import NEAREST
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.scoring.ranking import Ranking
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("shared_cache")

LOSSES = set(pretraining_losses()) - {"SPM", "PMI"}  # not in the published levels; of candidates
PRETEXT = dict.fromkeys(("RR", "JPS", "CP", "G2CM", "B2CM"), 0.0)
EMBEDDINGS = {"image_projection": [4], "text_projection": [4]}
NO_EMBEDDINGS = {"image_projection": [], "text_projection": []}
HEADS = {str(level): [4] for level in range(5)}
# Rows (products or pairs) of each call in pre-training 4 products: ITM's are 4 matching pairs and 8 others. The upper
# layer runs in the single stream and, for LM, over the photos and over the texts; the lower one over photos and texts
# of the embeddings, corrupted photos and masked texts of the single stream, and texts of LM. Backbone: as they are,
# turned, in grey.
ALL = EMBEDDINGS | HEADS | {"itm_head": [12], "upper": [12, 4, 4], "lower": [4] * 5, "backbone": [4] * 3}
PRETRAINING = [
    ({}, {"lm_head": 2}),
    ({"ITM": 0}, {"itm_head": [], "upper": [4] * 3, "lm_head": 2}),
    ({"AMLM": 0}, {"lm_head": 1}),
    ({"LM": 0}, {"upper": [12], "lower": [4] * 4, "lm_head": 1}),
    ({"AMLM": 0, "LM": 0}, {"upper": [12], "lower": [4] * 4, "lm_head": 0}),
    ({"contrastive": 0}, NO_EMBEDDINGS | {"lower": [4] * 4, "lm_head": 2}),
    ({"contrastive": 0, "LM": 0}, NO_EMBEDDINGS | {"upper": [12], "lower": [4] * 2, "lm_head": 1}),
    ({"RR": 0}, {"0": [], "backbone": [4] * 2, "lm_head": 2}),
    ({"JPS": 0}, {"1": [], "lm_head": 2}),
    (PRETEXT, dict.fromkeys(HEADS, []) | {"backbone": [4], "lm_head": 2}),
    (
        PRETEXT | {"ITM": 0, "AMLM": 0},  # no single stream
        dict.fromkeys(HEADS, []) | {"itm_head": [], "backbone": [4], "upper": [4] * 2, "lower": [4] * 3, "lm_head": 1},
    ),
]
IN_RETRIEVAL = EMBEDDINGS | {"itm_head": [12], "upper": [12, 4, 4], "lower": [4] * 3, "backbone": [4], "lm_head": 1}
RETRIEVAL = [
    ({}, {}),
    ({"ITM": 0}, {"itm_head": [], "upper": [4] * 2}),
    ({"LM": 0}, {"lm_head": 0, "upper": [12], "lower": [4] * 2}),
    ({"contrastive": 0}, {}),  # hard negatives are the nearest by the embeddings
    ({"contrastive": 0, "ITM": 0}, NO_EMBEDDINGS | {"itm_head": [], "upper": [4] * 2, "lower": [4] * 2}),
    ({"ITM": 0, "LM": 0}, {"itm_head": [], "lm_head": 0, "upper": [], "lower": [4] * 2}),
]


@pytest.fixture
def calls():
    """``calls(model, **batch)``: one step's output, and the rows of each call of a module; of the LM head the calls."""

    def run(model, **batch):
        encoder, counted = model.kaleidobert, defaultdict(list)
        lower, *_, upper = encoder.bert.encoder.layer
        modules = {"itm_head": model.itm_head, "lm_head": model.lm_head, "backbone": encoder.patch_encoder}
        modules |= {"lower": lower, "upper": upper, **getattr(model, "pretext_heads", {})}
        modules |= {name: getattr(encoder, name) for name in EMBEDDINGS}
        hooks = [
            module.register_forward_hook(lambda _, inputs, __, name=name: counted[name].append(len(inputs[0])))
            for name, module in modules.items()
        ]
        output = model.train()(**batch)
        for hook in hooks:
            hook.remove()
        return output, {name: len(counted[name]) if name == "lm_head" else counted[name] for name in modules}

    return run


@pytest.mark.parametrize("weights, expected", PRETRAINING)
def test_pretraining_runs_what_its_objectives_need(tiny_config, make_batch, calls, weights, expected):
    model = KaleidoBertForPreTraining(tiny_config(fusion_layer=1), Objectives(weights))
    output, counted = calls(model, **make_batch(model.config))
    assert counted == ALL | expected
    assert set(output.losses) == LOSSES - set(weights)
    assert {name.removesuffix("_accuracy") for name in output.accuracies} == {"ITM", "RR", "JPS", "CP"} - set(weights)
    output.loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)
    references = model.eval()(**make_batch(model.config)).references
    assert not [name for name in references if name.split("_")[0] in weights]


def test_the_nearest_negatives_take_embeddings_without_their_loss(tiny_config, make_batch, calls):
    model = KaleidoBertForPreTraining(tiny_config(fusion_layer=1), Objectives({"contrastive": 0}))
    model.negatives.fill_(NEAREST)
    output, counted = calls(model, **make_batch(model.config))
    assert counted == ALL | {"lm_head": 2} and "contrastive" not in output.losses
    output.loss.backward()
    assert model.kaleidobert.text_projection.weight.grad is None and model.logit_scale.grad is None


@pytest.mark.parametrize("weights, images", [({"contrastive": 0}, [4]), ({"contrastive": 0, "CP": 0}, [])])
def test_the_nearest_lenders_take_embeddings_without_their_loss(tiny_config, make_batch, calls, weights, images):
    model = KaleidoBertForPreTraining(tiny_config(fusion_layer=1), Objectives(weights, lender="nearest"))
    output, counted = calls(model, **make_batch(model.config))
    assert counted["image_projection"] == images and "contrastive" not in output.losses
    output.loss.backward()
    assert model.kaleidobert.image_projection.weight.grad is None


@pytest.mark.parametrize("weights, expected", RETRIEVAL)
def test_retrieval_runs_what_its_objectives_need(tiny_config, make_batch, calls, weights, expected):
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=1), Objectives(weights))
    batch = make_batch(model.config)
    names = ("pixel_values", "input_ids", "attention_mask", "text_group", "negative_draws", "text_only")
    output, counted = calls(model, **{name: batch[name] for name in names})
    assert counted == IN_RETRIEVAL | expected
    assert set(output.losses) == {"contrastive", "ITM", "LM"} - set(weights)
    assert set(output.accuracies) == {"ITM"} - set(weights)
    output.loss.backward()


@pytest.mark.parametrize(
    "weights", [{"ITM": 0}, {"contrastive": 0}, {"AMLM": 0, "ITM": 0, "LM": 0, **PRETEXT}, {"AMLM": 0, **PRETEXT}]
)
def test_a_run_trains_and_ranks_without_them(shapes, settings, history, tmp_path, weights):
    """No figure of theirs is in its history; a joint scorer that was not trained does not rank."""
    chosen = settings("training.epochs=0.5", f"objectives.weights={weights}", "training.evaluate_every=2")
    figures = pretrain(shapes, tmp_path / "run", chosen)
    steps = [row for row in history(tmp_path / "run") if "loss" in row]
    for row in (*steps, {name.removeprefix("eval_"): value for name, value in figures.items()}):
        assert {name for name in row if name.split("_")[0] in LOSSES} & LOSSES == LOSSES - set(weights)
        assert not {name.split("_")[0] for name in row} & set(weights)
        assert row["loss"] == pytest.approx(sum(row[name] for name in LOSSES - set(weights)), rel=1e-3)
    assert len(steps) == 2
    fit_ranker(shapes, tmp_path / "run", memory=False)
    if "ITM" in weights and "LM" not in weights:
        assert Ranking.load(tmp_path / "run").without_memory.joint_terms == "LM"


@pytest.mark.parametrize("weights", [{"ITM": 0}, {"contrastive": 0}, {"contrastive": 0, "ITM": 0}, {"ITM": 0, "LM": 0}])
def test_fine_tuning_trains_without_them(run, shapes, history, tmp_path, weights):
    chosen = finetune_settings("retrieval", run, ["training.epochs=0.5", f"objectives.weights={weights}"])
    finetune("retrieval", shapes, run, tmp_path / "tuned", chosen)
    steps = [row for row in history(tmp_path / "tuned") if "loss" in row or "eval_loss" in row]
    for row in steps:
        found = {name.removeprefix("eval_").removesuffix("_accuracy") for name in row} & LOSSES
        assert found == {"contrastive", "ITM", "LM"} - set(weights)


def test_batches_that_would_train_nothing_are_refused(run, shapes, settings, tmp_path):
    def refusal(*overrides):
        with pytest.raises(InputError) as error:
            pretrain(shapes, tmp_path / "run", settings(*overrides))
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
        return str(error.value)

    no_contrast = "objectives.weights={contrastive: 0, LM: 0}"
    assert "set training.joint_from=0" in refusal(no_contrast, "training.joint_from=0.5")
    assert "training.joint_samples to 2 or more" in refusal(no_contrast, "training.joint_samples=1")
    captions = "objectives.weights.contrastive=0", "training.joint_from=0.5"
    assert "set training.joint_from=0" in refusal(*captions, "training.lm_from=0.2")
    nothing = dict.fromkeys(("contrastive", "AMLM", "ITM", "LM"), 0)
    assert "give contrastive, AMLM or ITM or LM a weight" in refusal(f"objectives.weights={nothing}")
    alone = finetune_settings("retrieval", run, ["objectives.weights={contrastive: 0, ITM: 0, LM: 0}"])
    with pytest.raises(InputError, match="nothing to train; give contrastive, ITM or LM a weight"):
        finetune("retrieval", shapes, run, tmp_path / "tuned", alone)
