"""A drawn fashion catalogue with ground truth: reproducible products, masks and word-to-region boxes."""

from kaleidobert.synthetic.catalogue import generate, sample_look, write_catalogue
from kaleidobert.synthetic.sheet import contact_sheet

__all__ = ["contact_sheet", "generate", "sample_look", "write_catalogue"]
