"""Detectors found by name."""

import pytest
from PIL import Image, ImageDraw

from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.detectors import DETECTORS, detector


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_do_not_change_the_image(name):
    image = Image.new("RGB", (120, 160), "white")
    ImageDraw.Draw(image).ellipse((30, 40, 89, 119), fill=(40, 60, 120))
    before = image.tobytes()
    mask = detector(name)(image)
    assert mask.shape == (160, 120) and image.tobytes() == before


def test_detectors_are_found_by_name():
    assert all(detector(name) is found for name, found in DETECTORS.items())
    with pytest.raises(InputError, match="no saliency detector 'eyes'; use one of border-colour, network, none"):
        detector("eyes")
