"""The tasks that a configuration asks for: draws Y = A* + E, a low-rank signal under noise, or arrays of one's own."""

import math
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.model.section import Content, Section, Younger
from linphase.model.streams import stream
from linphase.model.task import Regression, Task


class TaskConfig(Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (output_dimension, dimension).

    Of a target of one's own dimension, output_dimension and noise are what is found in it, and are not hashed: they
    follow from the arrays and the rank (`own_task`).
    """

    dimension: int = Field(
        default=64,
        ge=2,
        le=20_000,
        title="d_in: the columns of the signal A* and the noise E",
        description="an integer from 2 to 20000",
    )
    rank: int = Field(
        default=4,
        ge=0,  # of a target of one's own, where none is given
        le=20_000,
        title="k: the rank of A*",
        description="an integer of at least 1 (and at most the smaller dimension)",
    )
    noise: Annotated[float, Field(ge=0, le=1e9), AfterValidator(abs)] = Field(  # abs: -0.0 must hash like 0.0
        default=1.0,
        title="standard deviation of E's entries; 0 is allowed",
        description="a finite number of at least 0 and at most 1e9",
    )
    signal_norm: float | None = Field(
        default=None,
        ge=1e-18,
        le=1e18,
        title="A* is rescaled so that ||A*||_F^2/(d_out d_in) is this; where it is not given A* stays as drawn",
        description="a finite number above 0, 1e-18 to 1e18",
    )
    output_dimension: Annotated[int | None, Younger] = Field(
        default=None,
        ge=1,
        le=20_000,
        title="d_out: the rows of A* and E; where it is not given as many as columns, d",
        description="an integer from 1 to 20000",
    )
    target: Annotated[str | None, Younger, Content] = Field(
        default=None,
        pattern=arrays.DIGEST,
        title="a target of your own: the file of Y (d_out, d_in), relative to the configuration; in results its digest",
        description='a file of numpy, such as "Y.npy"',
    )
    signal: Annotated[str | None, Younger, Content] = Field(
        default=None,
        pattern=arrays.DIGEST,
        title="the file of its signal A* (d_out, d_in); without one there are no test errors",
        description='a file of numpy, such as "A.npy"',
    )

    data: Annotated[str | None, Younger, Content] = Field(
        default=None,
        pattern=arrays.DIGEST,
        title="data of your own: made of `[data]`; in results their digest",
        description="left to `[data]`",
    )

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.rank == 0 and self.own is None:
            raise ValueError(f"rank must be {type(self).model_fields['rank'].description}, found 0")
        if self.rank > min(self.shape):
            raise ValueError(f"rank must be at most the dimension {min(self.shape)}, found {self.rank}")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        return self.output_dimension or self.dimension, self.dimension

    @property
    def scale(self) -> float:
        """Exponents are to the base d = sqrt(d_out d_in)."""
        return math.sqrt(math.prod(self.shape))

    @property
    def isotropic(self) -> bool:
        """Whether signal and noise are drawn alike in all directions, as the closed forms of boundaries have it."""
        return self.own is None

    @property
    def own(self) -> str | None:
        """The digest of the target or the data where they are one's own."""
        return self.target or self.data

    def used(self) -> dict[str, Any]:
        values = super().used()
        if self.own is not None:
            return {key: values[key] for key in ("target", "signal", "data", "rank") if key in values}
        if values.get("output_dimension") == self.dimension:  # as where it is not given
            del values["output_dimension"]
        return values


def draw_task(config: TaskConfig | None = None, *, seed: int = 0, replicate: int = 0, **keys: Any) -> Task:
    """Draw A* = U V^T and Y = A* + E, of a configuration or of its keys: draw_task(dimension=30, rank=2).

    U (d_out, k), V (d_in, k) have independent N(0, k^(-1/2)) entries, E (d_out, d_in) independent N(0, noise^2) ones.
    U and V are drawn column by column, so a smaller rank takes the leading columns of the same U and V; noise scales
    the same E. With signal_norm given, A* is rescaled to ||A*||_F^2/(d_out d_in) = signal_norm.
    """
    if config is not None and keys:
        raise LinphaseError(f"draw_task: a TaskConfig or keys of one are required, found both: {', '.join(keys)}")
    config = TaskConfig(**keys) if config is None else config
    if config.target is not None:
        signal = None if config.signal is None else arrays.find(config.signal)
        return Task(signal, arrays.find(config.target), config.rank, config.noise)
    if config.data is not None:
        return Regression.of_told(arrays.find(config.data), config.rank, config.noise)
    (d_out, d_in), k = config.shape, config.rank
    U = stream(seed, replicate, "U").standard_normal((k, d_out)).T * k**-0.25
    V = stream(seed, replicate, "V").standard_normal((k, d_in)).T * k**-0.25
    E = stream(seed, replicate, "E").standard_normal((d_out, d_in))
    signal = U @ V.T
    if config.signal_norm is not None:
        signal *= config.scale * np.sqrt(config.signal_norm) / np.linalg.norm(signal)
    return Task(signal=signal, target=signal + config.noise * E, rank=k, noise_level=config.noise)
