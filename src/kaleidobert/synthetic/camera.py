"""The mapping from drawing units to canvas pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kaleidobert.synthetic.shapes import Points


@dataclass(frozen=True, slots=True)
class Camera:
    """Maps drawing units to canvas pixels: ``matrix`` (2, 2) times the point plus ``origin`` (2,)."""

    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Canvas pixels per drawing unit."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def pixels(self, points: Points) -> Points:
        """Drawing units (n, 2) to canvas pixels (n, 2)."""
        return points @ self.matrix.T + self.origin

    def units(self, points: Points) -> Points:
        """Canvas pixels (n, 2) to drawing units (n, 2)."""
        return (points - self.origin) @ np.linalg.inv(self.matrix).T

    def placed(self, scale: float, x: float, y: float) -> Camera:
        """The camera for drawings at ``scale`` around (x, y)."""
        return Camera(self.matrix * scale, self.pixels(np.array([[x, y]]))[0])
