"""A reproducible synthetic fashion catalogue with ground truth: masks, and boxes of the regions that words describe."""

from kaleidobert.synthetic.catalogue import generate, sample_look, write_catalogue
from kaleidobert.synthetic.sheet import contact_sheet

__all__ = ["contact_sheet", "generate", "sample_look", "write_catalogue"]
