"""The model, its processor and their registration with the Auto classes of `transformers`."""

from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoProcessor

from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.model.pretraining import KaleidoBertForPreTraining
from kaleidobert.model.processing import KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval

AutoConfig.register("kaleidobert", KaleidoBertConfig)
AutoModel.register(KaleidoBertConfig, KaleidoBertModel)
AutoModelForPreTraining.register(KaleidoBertConfig, KaleidoBertForPreTraining)
AutoProcessor.register(KaleidoBertConfig, KaleidoBertProcessor)

__all__ = [
    "KaleidoBertConfig",
    "KaleidoBertForCaptioning",
    "KaleidoBertForClassification",
    "KaleidoBertForPreTraining",
    "KaleidoBertForRetrieval",
    "KaleidoBertImageProcessor",
    "KaleidoBertModel",
    "KaleidoBertProcessor",
]
