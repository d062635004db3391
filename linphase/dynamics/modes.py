"""Theory's prediction: equation (1) from A = 0, one closed curve a mode.

Source: docs/theory.md, "A whole diagram from one SVD". It has no states:
`linphase.runs.predicting` answers for a cell at once.
"""

from typing import Annotated, ClassVar

from linphase.dynamics.base import LEARNING_RATE_RATIO, Dynamics, Planned
from linphase.model.section import Younger


class TheoryModes(Dynamics, kind="modes"):
    """Theory from A = 0, one curve a mode, which linphase theory draws."""

    continuous: ClassVar[bool] = True
    moves_weights: ClassVar[bool] = False
    predicts: ClassVar[bool] = True
    takes_richness: ClassVar[bool] = True

    learning_rate_ratio: Annotated[float, Younger] = LEARNING_RATE_RATIO

    def evaluations(self, spec: Planned) -> float:
        return 0
