from __future__ import annotations

import pytest
import torch


def test_a_photo_is_as_far_from_the_nearest_as_its_grey_levels_differ() -> None:
    from twins import nearest

    others = torch.stack([torch.zeros(12), torch.full((12,), 100.0)])
    photos = torch.stack([torch.full((12,), 98.0), torch.tensor([6.0] * 6 + [0.0] * 6), others[1]])
    assert nearest(photos, others).tolist() == pytest.approx([2.0, 18**0.5, 0.0], abs=1e-2)
