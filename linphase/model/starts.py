"""How the weights start: one class a family of starts, whose fields are its keys in `[init]`.

Rates of the layers and the scale of the output are no dynamics of their own but another start and another clock
(docs/theory.md, "Knobs of the start"): what trains is the network at equal rates and scale 1, of the layer variances
and the threshold that `Initialization` tells.
"""

import math
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights, balanced_start, gaussian_start, power
from linphase.model.registry import Registry
from linphase.model.section import Choice, Younger


class Init(Choice):
    """Where training starts: how the weights are drawn.

    A family of starts: a frozen class whose fields are its keys in `[init]`, named by `kind`.
    """

    selector: ClassVar[str] = "kind"
    default: ClassVar[str] = "gaussian"
    younger: ClassVar[bool] = True
    members: ClassVar[Registry[type["Init"]]] = Registry("init")
    kind: ClassVar[str]

    richness: Annotated[float, Younger] = Field(
        default=1.0,
        ge=1e-9,
        le=1e9,
        title="richness gamma: the network's output is A = W2 W1/gamma; large is rich, small is lazy",
        description="a number from 1e-9 to 1e9",
    )

    def __init_subclass__(cls, kind: str | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)

    @classmethod
    def __pydantic_init_subclass__(cls, kind: str | None = None, **others: Any) -> None:
        super().__pydantic_init_subclass__(**others)
        if kind is not None:
            cls.declare(kind)

    def at(self, scale: float, *, rate_ratio: float = 1.0, **start: Any) -> Initialization:
        """The start of one variance key and one width key, at layer rates of this ratio; scale is d."""
        return Initialization.at(scale, **start, rate_ratio=rate_ratio, richness=self.richness)

    def draw(self, initialization: Initialization, shape: tuple[int, int], *, seed: int, replicate: int) -> Weights:
        """The weights at time 0, (d_out, d_in) = shape, reduced to width at most d_in + d_out."""
        raise LinphaseError(f"init {self.kind!r}: a method `draw` is required, found none")

    def told(self, start: Initialization, scale: float) -> dict[str, Any]:
        """The values of its keys at a start as columns hold them: those that follow from others too."""
        return {key: getattr(self, key) for key in type(self).model_fields}


class Gaussian(Init, kind="gaussian"):
    """Independent Gaussian entries, of variance sigma1^2 in W1 and sigma2^2 in W2.

    init_variance is sigma1 sigma2, so that the start's A and its error do not move with r = sigma2^2/sigma1^2.
    """

    variance_ratio: Annotated[float, Younger] = Field(
        default=1.0,
        ge=1e-12,
        le=1e12,
        title="ratio r = sigma2^2/sigma1^2, the variance of W2's entries over that of W1's, at equal sigma1 sigma2",
        description="a number from 1e-12 to 1e12",
    )
    gamma_variance_ratio: Annotated[float | None, Younger] = Field(
        default=None,
        title="the same as an exponent: r = d^gamma_variance_ratio; as an axis also grid.gamma_variance_ratio",
        description="a finite number, with r from 1e-12 to 1e12",
    )

    @model_validator(mode="after")
    def _one_ratio(self) -> Self:
        if self.gamma_variance_ratio is not None and self.variance_ratio != 1:
            raise ValueError("variance_ratio must not be given beside gamma_variance_ratio, found both")
        return self

    def ratio(self, scale: float) -> float:
        """r = sigma2^2/sigma1^2."""
        if self.gamma_variance_ratio is None:
            return self.variance_ratio
        ratio = power(scale, self.gamma_variance_ratio)
        if not 1e-12 <= ratio <= 1e12:
            raise LinphaseError(f"gamma_variance_ratio must give a ratio from 1e-12 to 1e12, found {ratio:.3g}")
        return ratio

    def at(self, scale: float, *, rate_ratio: float = 1.0, **start: Any) -> Initialization:
        return Initialization.at(
            scale, **start, variance_ratio=self.ratio(scale), rate_ratio=rate_ratio, richness=self.richness
        )

    def draw(self, initialization: Initialization, shape: tuple[int, int], *, seed: int, replicate: int) -> Weights:
        return gaussian_start(initialization, shape, seed=seed, replicate=replicate)

    def told(self, start: Initialization, scale: float) -> dict[str, Any]:
        ratio, exponent = start.variance_ratio, self.gamma_variance_ratio
        return super().told(start, scale) | {
            "variance_ratio": ratio,
            "gamma_variance_ratio": math.log(ratio) / math.log(scale) if exponent is None else exponent,
        }


class LambdaBalanced(Init, kind="lambda_balanced"):
    """W2^T W2 - W1 W1^T = lambda I, with the A = W2 W1 of the Gaussian start of this variance and width.

    c = |lambda|/2, over the richness. W2 is the larger layer where lambda > 0, W1 where lambda < 0; 0 is perfectly
    balanced (Domine et al. 2024, arXiv:2409.14623; docs/theory.md, "Lambda-balanced starts").
    """

    lambda_balance: Annotated[
        Annotated[float, Field(ge=-1e18, le=1e18), AfterValidator(lambda value: value + 0.0)] | None, Younger
    ] = Field(  # + 0.0: -0.0 must hash like 0.0
        default=None,
        title="balance lambda; where it is not given 2 sigma2 width, so that c is what it is for the Gaussian start",
        description="a number from -1e18 to 1e18",
    )

    def at(self, scale: float, *, rate_ratio: float = 1.0, **start: Any) -> Initialization:
        plain = super().at(scale, rate_ratio=rate_ratio, **start)
        usual = 2 * plain.init_variance * plain.width
        return replace(plain, balance=usual if self.lambda_balance is None else self.lambda_balance)

    def draw(self, initialization: Initialization, shape: tuple[int, int], *, seed: int, replicate: int) -> Weights:
        return balanced_start(initialization, shape, seed=seed, replicate=replicate)

    def told(self, start: Initialization, scale: float) -> dict[str, Any]:
        return super().told(start, scale) | {"lambda_balance": start.balance}
