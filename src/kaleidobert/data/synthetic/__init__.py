"""A drawn fashion catalogue with ground truth: reproducible products, masks and word-to-region boxes."""

from .catalogue import generate, sample_look, write_catalogue
from .sheet import contact_sheet

__all__ = ["contact_sheet", "generate", "sample_look", "write_catalogue"]
