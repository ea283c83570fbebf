import pytest
import yaml

from kaleidobert.alignment.masking import TokenMasking
from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertConfig
from kaleidobert.training.settings import PRESETS, RUN_SETTINGS, load_settings

NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def test_the_presets():
    assert {"mini", "small", "base", "published", "published-mini"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_presets_load_and_hold_what_their_files_say(name):
    settings = load_settings(name)
    written = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    for key, value in written["model"].items():
        found = settings.model[key]
        assert found == value or found.items() >= value.items()  # with the sizes of the checkpoints it starts from
    for part in ("training", "tokenizer"):
        for key, value in written[part].items():
            assert getattr(getattr(settings, part), key) == value
    assert settings.finetuning == written.get("finetuning", {})
    config = KaleidoBertConfig(**settings.model)
    assert settings.tokenizer.max_length <= config.encoder_config.max_position_embeddings


@pytest.mark.parametrize("name", ["published", "published-mini"])
def test_the_published_recipe(name):
    """The seven objectives, summed as they are, random negatives, and nothing that embeddings are needed for."""
    settings = load_settings(name)
    objectives, training = settings.objectives, settings.training
    weights = {loss: objectives.weight(loss) for loss in ("AMLM", "ITM", "RR", "JPS", "CP", "G2CM", "B2CM")}
    assert set(weights.values()) == {1.0}
    assert objectives.weight("LM") == objectives.weight("contrastive") == 0 and not objectives.trains_embeddings
    assert objectives.corruption == "levels" and objectives.hard_negatives_from == 1 and objectives.candidates == 0
    assert KaleidoBertConfig(**settings.model).fusion_layer == 0
    assert (training.optimizer, training.schedule, training.weight_decay) == ("adam", "constant", 1e-4)
    assert training.freeze_backbone and training.joint_from == 0 and training.joint_samples == training.batch_size
    objectives.check_batches(("AMLM", "ITM", "LM"), training.joint_from, training.joint_samples)


def test_the_published_size_and_rate():
    settings = load_settings("published")
    config = KaleidoBertConfig(**settings.model)
    encoder = config.encoder_config
    assert (encoder.num_hidden_layers, encoder.hidden_size, encoder.num_attention_heads) == (12, 768, 12)
    assert settings.training.learning_rate == 2e-5 and settings.training.warmup_steps == 5000
    assert config.patch_features == "crops" and config.saliency == "network"


def test_overrides():
    overrides = ["training.batch_size=7", "model.backbone_config.depths=[1, 1, 1, 1]", "training.learning_rate=3e-4"]
    overrides += ["initial.text=some/folder", "objectives.weights.AMLM=0.5", "training.bf16=false"]
    settings = load_settings("published", overrides)
    assert settings.training.batch_size == 7
    assert settings.training.learning_rate == 3e-4
    assert settings.training.bf16 is False
    assert settings.initial.text == "some/folder"
    assert settings.model["backbone_config"]["depths"] == [1, 1, 1, 1]
    plain = load_settings("published")
    assert plain.training.batch_size != 7 and plain.objectives.weights.get("AMLM") != 0.5
    assert settings.objectives.weights == {**plain.objectives.weights, "AMLM": 0.5}
    assert settings.model["encoder_config"] == plain.model["encoder_config"]


def test_a_run_keeps_its_settings(tmp_path):
    masking = "objectives.token_masking={mask: 0.5, random: 0.1, unchanged: 0.1, blank: 0.3}"
    settings = load_settings("mini", ["training.seed=9", "model.fusion_layer=2", masking, "objectives.lender=nearest"])
    assert settings.objectives.token_masking == TokenMasking(0.5, 0.1, 0.1, 0.3)
    settings.save(tmp_path)
    assert load_settings(str(tmp_path / RUN_SETTINGS)) == settings


@pytest.mark.parametrize(
    "override, message",
    [
        ("training.batchsize=3", "mini.yaml: training.batchsize: Extra inputs"),
        ("trainer.batch_size=3", "mini.yaml: trainer: Extra inputs"),
        ("model.imagesize=3", "mini.yaml: model.imagesize: no such setting"),
        ("model.encoder_config.layers=3", "mini.yaml: model.encoder_config.layers: no such setting"),
        ("model.corruption=levels", "mini.yaml: model.corruption: no such setting; use objectives.corruption"),
        ("objectives.weights.VQA=1", "mini.yaml: objectives.weights: no loss 'VQA'; use contrastive, "),
        ("objectives.corruption=all", "mini.yaml: objectives.corruption is 'all'; use levels or photos"),
        ("objectives.lender=me", "objectives.lender is 'me'; use random, same-subcategory, nearest"),
        ("objectives.token_masking.mask=0.9", "token_masking: mask, random, unchanged, blank sum to 1.1; make it 1"),
        ("objectives.token_masking.grey=0.1", "mini.yaml: objectives.*grey: Unexpected keyword"),
        ("objectives.kl_temperature=0", "mini.yaml: objectives.kl_temperature is 0.0; use a number above 0"),
        ("objectives.wait=1", "mini.yaml: objectives.*wait: Unexpected keyword"),
        ("model.backbone_config.deep=[1]", "mini.yaml: model.backbone_config.deep: no such setting"),
        ("training.batch_size=0", "training.batch_size: Input should be greater than 0"),
        ("training.optimizer=sgd", "training.optimizer: Input should be 'adamw' or 'adam'"),
        ("training.schedule=linear", "training.schedule: Input should be 'cosine' or 'constant'"),
        ("finetuning.epoch=3", "mini.yaml: .*epoch: Extra inputs"),
        ("training.batch_size=many", "training.batch_size: Input should be a valid integer"),
        ("training.joint_from=1.5", "training.joint_from: Input should be less than or equal to 1"),
        ("tokenizer.max_length=2", "tokenizer.max_length: Input should be greater than or equal to 3"),
        ("objectives.weights.ITM=-1", "objectives.weights.ITM is -1.0; use a number from 0 up"),
        ("model.encoder_config.hidden_size=100", "model: encoder_config.hidden_size is 100; use a multiple"),
        ("model.image_size=big", "model: image_size is 'big'"),
        ("model.fusion_layer=6", "model: fusion_layer is 6; use 0 to 5"),
        ("model.encoder_config.hidden_size=big", "model: .*hidden_size"),
        ("model.backbone_config.model_type=eye", "model: Unrecognized model"),
        ("model.levels=3", "mini.yaml: model: "),
        ("model=3", "mini.yaml: model: "),
        ("training.batch_size.x=3", "batch_size has no settings below it"),
        ("training.batch_size", "write key=value"),
        ("training.batch_size=[1", "not valid YAML"),
    ],
)
def test_overrides_that_cannot_be_used(override, message):
    with pytest.raises(InputError, match=message) as error:
        load_settings("mini", [override])
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_presets_that_cannot_be_used(tmp_path):
    with pytest.raises(
        InputError, match="no preset 'huge'; use one of base, mini, published, published-mini, scratch, small"
    ):
        load_settings("huge")
    with pytest.raises(InputError, match="no preset"):
        load_settings(str(tmp_path / "none.yaml"))
    for text, message in (
        ("", "it holds no settings"),
        ("a: [", "not valid YAML"),
        ("model: {}\ntraining: {}\nmodel: {}", "not valid YAML: the key 'model' is there twice"),
        ("training: {}", "model: Field req"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match=f"bad.yaml: {message}") as error:
            load_settings(str(tmp_path / "bad.yaml"))
        assert "\n" not in str(error.value)
