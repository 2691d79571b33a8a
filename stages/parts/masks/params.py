"""The params of a dense CRF, wherever one is asked for: parts/masks/dense_crf.py says what each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stages.parts.sections import Number, Section

if TYPE_CHECKING:
    from stages.parts.masks.dense_crf import Kernels

# The lattice of pydensecrf counts its cells in 16 bits: a reach of next to nothing would write past their end.
Reach = Annotated[float, Field(ge=0.5, le=4096.0)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]


class Crf(Section):
    iterations: Number
    bilateral_weight: Weight
    bilateral_xy: Reach
    bilateral_rgb: Reach
    gaussian_weight: Weight
    gaussian_xy: Reach

    def kernels(self) -> Kernels:
        """The values as dense_crf takes them."""
        return {
            "iterations": self.iterations,
            "bilateral_weight": self.bilateral_weight,
            "bilateral_xy": self.bilateral_xy,
            "bilateral_rgb": self.bilateral_rgb,
            "gaussian_weight": self.gaussian_weight,
            "gaussian_xy": self.gaussian_xy,
        }
