from __future__ import annotations

import pytest
import torch


def test_the_nearest_photo_is_found_and_its_distance_is_in_grey_levels() -> None:
    from twins import nearest

    others = torch.stack([torch.zeros(12), torch.full((12,), 100.0)])
    photos = torch.stack([torch.full((12,), 98.0), torch.tensor([6.0] * 6 + [0.0] * 6), others[1]])
    assert nearest(photos, others).tolist() == pytest.approx([2.0, 18**0.5, 0.0], abs=1e-2)
