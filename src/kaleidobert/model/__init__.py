"""Configuration, models and processor, registered with the Auto classes of `transformers`."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForPreTraining, AutoProcessor

from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.model.pretraining import KaleidoBertForPreTraining
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval

AutoConfig.register("kaleidobert", KaleidoBertConfig)
AutoModel.register(KaleidoBertConfig, KaleidoBertModel)
AutoModelForPreTraining.register(KaleidoBertConfig, KaleidoBertForPreTraining)
AutoImageProcessor.register(KaleidoBertConfig, image_processor_classes={"pil": KaleidoBertImageProcessor})
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
