"""What decides the numbers of one run: the sections of a configuration, the start, and the id they are hashed to."""

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from linphase.errors import ConfigError

NUMERICS_VERSION = 2  # part of every run id: raised only when linphase's numbers change
MAX_WIDTH = 2**53  # the last integer up to which every width is exact in float64
PAPER_DIVISOR = 50  # eta = 1/(50 ...): theory.md section 2
STRICT = ConfigDict(strict=True, allow_inf_nan=False)  # true is no number, 3.0 no integer

# The text that run ids and digests are hashes of.
canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Section(BaseModel):
    """A table of the configuration: frozen, strictly typed, without unknown keys.

    The title of a field says what its key means, the description what it must be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", **STRICT)

    def used(self) -> dict[str, Any]:
        """The keys that decide a run's numbers, and their values; only these are hashed."""
        return self.model_dump()

    @cached_property
    def used_json(self) -> str:
        """Their canonical JSON: made once, as thousands of runs share a section."""
        return canonical_json(self.used())


class TaskConfig(Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (dimension, dimension)."""

    dimension: int = Field(
        default=64,
        ge=2,
        le=20_000,
        title="d: the signal A* and the noise E are (d, d)",
        description="an integer from 2 to 20000",
    )
    rank: int = Field(
        default=4,
        ge=1,
        le=20_000,
        title="k: the rank of A*",
        description="an integer of at least 1 (and at most the dimension)",
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
        title="A* is rescaled so that ||A*||_F^2/d^2 is this; where it is not given A* stays as drawn",
        description="a finite number above 0, 1e-18 to 1e18",
    )

    @model_validator(mode="after")
    def _rank_fits(self) -> Self:
        if self.rank > self.dimension:
            raise ValueError(f"rank must be at most the dimension {self.dimension}, found {self.rank}")
        return self


class PaperRate(Section):
    """The paper's learning rate with another divisor in place of 50: `learning_rate = { paper = 5 }`."""

    paper: float = Field(gt=0)


def _plain_rate(rate: object) -> object:
    """{ paper = 50 } is the rule "paper", and must not get another run id."""
    return "paper" if rate == PaperRate(paper=PAPER_DIVISOR) else rate


_Rate = Annotated[Annotated[float, Field(gt=0)] | Literal["auto", "paper"] | PaperRate, AfterValidator(_plain_rate)]


class DynamicsConfig(Section):
    """How the network moves; the keys of other kinds are not used.

    flow and gd train the network. self_consistent is equation (1) of the paper from the start's A, in closed form;
    modes its version from A = 0, one curve a mode: theory's prediction of the diagram.
    """

    kind: Literal["flow", "gd", "self_consistent", "modes"] = Field(
        default="flow",
        title='"flow" is gradient flow, "gd" gradient descent; "self_consistent" is theory from the network\'s own A at'
        ' the start, "modes" theory from A = 0, which linphase theory draws',
        description='"flow", "gd", "self_consistent" or "modes"',
    )
    tolerance: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        title="relative error of a step, in A and in the weights",
        description="a number above 0 and at most 0.1",
    )
    learning_rate: _Rate = Field(
        default="auto",
        title='"auto" is 1/(50 max(c, ||Y||_op)), "paper" the paper\'s rule, { paper = 5 } the same with 5 for 50',
        description='"auto", "paper", { paper = DIVISOR } or a number above 0',
    )
    update: Literal["simultaneous", "alternating"] = Field(
        default="simultaneous",
        title='"simultaneous" moves both layers from the old weights, "alternating", the paper\'s, W2 with the new W1',
        description='"simultaneous" or "alternating"',
    )
    max_steps: int = Field(
        default=100_000,
        ge=1,
        le=10**9,
        title="budget of steps; a run that spends it has the status step_limit",
        description="an integer from 1 to 10^9",
    )
    max_evaluations: int = Field(
        default=100_000,
        ge=1,
        le=10**9,
        title="budget of gradient evaluations; a run that spends it has the status step_limit",
        description="an integer from 1 to 10^9",
    )

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_KIND[self.kind]}

    @property
    def learning_rate_rule(self) -> str:
        """The learning rate as configured, in short: "auto", "paper", "paper/5" or "0.01"."""
        rate = self.learning_rate
        if isinstance(rate, str):
            return rate
        return f"paper/{_short(rate.paper)}" if isinstance(rate, PaperRate) else _short(rate)


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")


class StopConfig(Section):
    """When a run ends: `converged` (theory.md section 4) or the paper's rule (section 2)."""

    rule: Literal["converged", "paper"] = Field(
        default="converged",
        title='"converged" trains to the end; "paper" is the paper\'s early stopping, at most 750 steps, for gd only',
        description='"converged" or "paper"',
    )
    train_error: float = Field(
        default=1e-3,
        gt=0,
        title="a run has converged when its train error is this close to what the width can reach, relative to noise^2",
        description="a finite number above 0",
    )

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_RULE[self.rule]}


KEYS_OF_KIND = {
    "flow": ("kind", "tolerance", "max_evaluations"),
    "gd": ("kind", "learning_rate", "update", "max_steps"),
    "self_consistent": ("kind", "max_evaluations"),
    "modes": ("kind",),
}
KEYS_OF_RULE = {"converged": ("rule", "train_error"), "paper": ("rule",)}
# The key that chooses among the keys of its section, and the keys that each choice uses.
SELECTORS = {"dynamics": ("dynamics.kind", KEYS_OF_KIND), "stop": ("stop.rule", KEYS_OF_RULE)}


class RecordConfig(Section):
    """What is kept of a run over time."""

    snapshots: int = Field(
        default=48,
        ge=2,
        le=10_000,
        title="times kept of a run, at most",
        description="an integer from 2 to 10000",
    )
    singular_values: Annotated[int, Field(ge=1, le=20_000)] | Literal["all"] = Field(
        default="all",
        title="leading singular values kept over time",
        description='"all" or an integer from 1 to 20000',
    )
    compare: Literal["none", "self_consistent", "self_consistent_euler"] = Field(
        default="none",
        title="keep the distance to the exact solution of the self-consistent equation, or (gd only) to its Euler "
        "iteration, as the paper does",
        description='"none", "self_consistent" or "self_consistent_euler"',
    )


class RunConfig(Section):
    """The root of the random numbers, the floating-point type of the training, and the time it may take.

    max_time (s) is no part of a run's identity: a run that it ends is as long as the machine was fast.
    """

    seed: int = Field(
        default=0, ge=0, lt=2**63, title="root of all random numbers", description="an integer from 0 to 2^63 - 1"
    )
    precision: Literal["float64", "float32"] = Field(
        default="float64", title="floating-point type of the training", description='"float64" or "float32"'
    )
    max_time: float | None = Field(
        default=None,
        gt=0,
        title="seconds that a run may take; one that takes longer ends as step_limit, no limit where it is not given",
        description="a number of seconds above 0",
    )


SECTIONS: dict[str, type[Section]] = {
    "task": TaskConfig,
    "dynamics": DynamicsConfig,
    "stop": StopConfig,
    "record": RecordConfig,
    "run": RunConfig,
}


class Start(Section):
    """The keys of the grid that say where a run starts. A normal float is one that keeps its full precision."""

    gamma_sigma2: float = Field(title="the init variance is d^gamma_sigma2", description="a finite number")
    init_variance: float = Field(
        ge=sys.float_info.min,
        title="variance of every entry of W1 and W2 at the start",
        description="a finite number above 0 (a normal float64)",
    )
    gamma_w: float = Field(
        ge=0, title="the width is int(d^gamma_w), at least 1", description="a finite number of at least 0"
    )
    width: int = Field(ge=1, le=MAX_WIDTH, title="hidden neurons", description="an integer from 1 to 2^53")


@dataclass(frozen=True)
class Initialization:
    """A Gaussian start: entries of W1 and W2 are N(0, init_variance), the network has the given width.

    init_variance = d^gamma_sigma2 and width = int(d^gamma_w), at least 1 (theory.md section 1).
    """

    gamma_sigma2: float
    gamma_w: float
    init_variance: float
    width: int

    @property
    def threshold(self) -> float:
        """c = sigma2 * width: singular values above it are active."""
        return self.init_variance * self.width

    @classmethod
    def at(
        cls,
        dimension: float,
        *,
        gamma_sigma2: float | None = None,
        init_variance: float | None = None,
        gamma_w: float | None = None,
        width: int | None = None,
    ) -> Self:
        """The start for one variance key and one width key; the logarithm to base d gives the others."""
        if (gamma_sigma2 is None) == (init_variance is None):
            raise ConfigError("exactly one of gamma_sigma2 and init_variance is required")
        if (gamma_w is None) == (width is None):
            raise ConfigError("exactly one of gamma_w and width is required")
        if init_variance is None:
            assert gamma_sigma2 is not None
            init_variance = power(dimension, gamma_sigma2)
            if not is_normal(init_variance):
                raise ConfigError(
                    f"gamma_sigma2 = {gamma_sigma2} gives the variance {init_variance}, no normal float64"
                )
        elif not is_normal(init_variance):
            raise ConfigError(f"init_variance must be {_required('init_variance')}, found {init_variance}")
        if width is None:
            assert gamma_w is not None
            exact = power(dimension, gamma_w)
            if not exact <= MAX_WIDTH:
                raise ConfigError(f"gamma_w = {gamma_w} gives the width {exact:.3g}, more than 2^53")
            width = max(1, int(exact))
        elif not 1 <= width <= MAX_WIDTH:
            raise ConfigError(f"width must be {_required('width')}, found {width}")
        log_d = math.log(dimension)
        return cls(
            gamma_sigma2=math.log(init_variance) / log_d if gamma_sigma2 is None else gamma_sigma2,
            gamma_w=math.log(width) / log_d if gamma_w is None else gamma_w,
            init_variance=init_variance,
            width=width,
        )


def _required(key: str) -> str | None:
    return Start.model_fields[key].description


def power(dimension: float, exponent: float) -> float:
    """d^gamma, infinity where that is beyond float64."""
    try:
        return math.pow(dimension, exponent)
    except OverflowError:
        return math.inf


def is_normal(value: float) -> bool:
    """Whether a variance is a float64 above 0 of full precision."""
    return sys.float_info.min <= value <= sys.float_info.max


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that decides one run's numbers. `start` holds the two grid values it was asked for by."""

    task: TaskConfig
    initialization: Initialization
    start: tuple[tuple[str, float], tuple[str, float]]
    replicate: int
    dynamics: DynamicsConfig
    stop: StopConfig
    record: RecordConfig
    run: RunConfig

    def canonical(self) -> dict[str, Any]:
        """The specification that is hashed: used keys only, nothing of scheduling."""
        return {
            "numerics_version": NUMERICS_VERSION,
            "task": self.task.used(),
            "start": dict(self.start),
            "replicate": self.replicate,
            "dynamics": self.dynamics.used(),
            "stop": self.stop.used(),
            "record": self.record.used(),
            "seed": self.run.seed,
            "precision": self.run.precision,
        }

    @property
    def run_id(self) -> str:
        """The first 20 hexadecimal digits of the SHA-256 of the canonical JSON."""
        # The same text as canonical_json(self.canonical()), but the JSON of each section is made only once.
        (key, value), (other, its) = sorted(self.start)
        text = (
            f'{{"dynamics":{self.dynamics.used_json},"numerics_version":{NUMERICS_VERSION}'
            f',"precision":"{self.run.precision}","record":{self.record.used_json}'
            f',"replicate":{self.replicate},"seed":{self.run.seed},"start":{{"{key}":{value!r},"{other}":{its!r}}}'
            f',"stop":{self.stop.used_json},"task":{self.task.used_json}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def columns(self) -> dict[str, object]:
        """The values of the columns of the runs table that say what was asked for; keys not used are None."""
        start, dynamics, stop = self.initialization, self.dynamics.used(), self.stop.used()
        return {
            "run_id": self.run_id,
            "gamma_sigma2": start.gamma_sigma2,
            "gamma_w": start.gamma_w,
            "init_variance": start.init_variance,
            "width": start.width,
            "threshold": start.threshold,
            "replicate": self.replicate,
            "seed": self.run.seed,
            **self.task.used(),
            "kind": self.dynamics.kind,
            "tolerance": dynamics.get("tolerance"),
            "learning_rate_rule": self.dynamics.learning_rate_rule if "learning_rate" in dynamics else None,
            "update": dynamics.get("update"),
            "max_steps": dynamics.get("max_steps"),
            "max_evaluations": dynamics.get("max_evaluations"),
            "stop_rule": self.stop.rule,
            "stop_train_error": stop.get("train_error"),
            "snapshots": self.record.snapshots,
            "compare": self.record.compare,
            "precision": self.run.precision,
        }
