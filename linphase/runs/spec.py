"""What decides the numbers of one run: its sections, its start, and the id that they are hashed to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from linphase.dynamics.base import Dynamics
from linphase.model.draws import TaskConfig
from linphase.model.network import Initialization
from linphase.model.section import Choice, Section, Younger
from linphase.model.starts import Init
from linphase.model.streams import dimension_seed
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Stop

NUMERICS_VERSION = 5  # part of every run id: raised only when linphase's numbers change


class RunConfig(Section):
    """The root of the random numbers, the floating-point type of the training, and the time it may take.

    max_time (s) is no part of a run's identity: a run that it ends is as long as the machine was fast.
    """

    seed: int = Field(
        default=0, ge=0, lt=2**63, title="root of all random numbers", description="an integer from 0 to 2^63 - 1"
    )
    independent_dimensions: Annotated[bool, Younger] = Field(
        default=False,
        title="whether tasks and starts of different dimensions are independent draws, as fits over d need them; "
        "otherwise they share their leading entries",
        description="true or false",
    )
    precision: Literal["float64", "float32"] = Field(
        default="float64", title="floating-point type of the training", description='"float64" or "float32"'
    )
    max_time: float | None = Field(
        default=None,
        gt=0,
        title="seconds that a run may take; a longer one ends as step_limit; no limit where it is not given",
        description="a number of seconds above 0",
    )

    def seed_at(self, shape: tuple[int, int]) -> int:
        """The root of the random numbers of a run of some shape (d_out, d_in)."""
        return dimension_seed(self.seed, shape) if self.independent_dimensions else self.seed


# The sections of a configuration, in their order; of a family the selector chooses the class.
SECTIONS: dict[str, type[Section]] = {
    "task": TaskConfig,
    "init": Init,
    "dynamics": Dynamics,
    "stop": Stop,
    "record": RecordConfig,
    "run": RunConfig,
}
FAMILIES: dict[str, type[Choice]] = {section: model for section, model in SECTIONS.items() if issubclass(model, Choice)}


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that decides one run's numbers. `start` holds the two grid values it was asked for by."""

    task: TaskConfig
    init: Init
    initialization: Initialization
    start: tuple[tuple[str, float], tuple[str, float]]
    replicate: int
    dynamics: Dynamics
    stop: Stop
    record: RecordConfig
    run: RunConfig

    @property
    def seed(self) -> int:
        """The root of this run's random numbers, of which its task and start are drawn."""
        return self.run.seed_at(self.task.shape)

    def canonical(self) -> dict[str, Any]:
        """The specification that is hashed: used keys only, nothing of scheduling."""
        return {
            "numerics_version": NUMERICS_VERSION,
            "task": self.task.used(),
            **({} if Init.is_usual(self.init.used()) else {"init": self.init.used()}),
            "start": dict(self.start),
            "replicate": self.replicate,
            "dynamics": self.dynamics.used(),
            "stop": self.stop.used(),
            "record": self.record.used(),
            **{key: value for key, value in self.run.used().items() if key != "max_time"},
        }

    @property
    def run_id(self) -> str:
        """The first 20 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return self.id_at(NUMERICS_VERSION)

    def id_at(self, numerics_version: int) -> str:
        """The run's id where a linphase of this numerics version trains it."""
        # The same text as canonical_json(self.canonical()), but the JSON of each section is made only once.
        (key, value), (other, its) = sorted(self.start)
        independent = '"independent_dimensions":true,' if self.run.independent_dimensions else ""
        init = "" if Init.is_usual(self.init.used()) else f'"init":{self.init.used_json},'
        text = (
            f'{{"dynamics":{self.dynamics.used_json},{independent}{init}"numerics_version":{numerics_version}'
            f',"precision":"{self.run.precision}","record":{self.record.used_json}'
            f',"replicate":{self.replicate},"seed":{self.run.seed},"start":{{"{key}":{value!r},"{other}":{its!r}}}'
            f',"stop":{self.stop.used_json},"task":{self.task.used_json}}}'
        )
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def values(self) -> dict[str, Any]:
        """The value of every configuration key that the run uses, by its dotted name, as a column holds it."""
        start = self.initialization
        values: dict[str, Any] = {
            "grid.gamma_sigma2": start.gamma_sigma2,
            "grid.gamma_w": start.gamma_w,
            "grid.init_variance": start.init_variance,
            "grid.width": start.width,
            "grid.replicates": self.replicate,
        }
        for section, model in self._sections().items():
            if isinstance(model, Choice):
                values[f"{section}.{model.selector}"] = model.name
            values |= {f"{section}.{key}": _plain(getattr(model, key)) for key in type(model).model_fields}
        values |= {f"init.{key}": value for key, value in self.init.told(start, self.task.scale).items()}
        return values

    def plain(self) -> dict[str, Any]:
        """The specification as plain data, which `RunSpec.of` reads: what travels to a worker."""
        return {
            "start": self.start,
            "replicate": self.replicate,
            **{
                section: {**model.model_dump(), **({model.selector: model.name} if isinstance(model, Choice) else {})}
                for section, model in self._sections().items()
            },
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """The specification in plain data; the kinds that it names must be declared."""
        sections: dict[str, Any] = {section: _section(section, plain[section]) for section in SECTIONS}
        start = plain["start"]
        return cls.at(start, plain["replicate"], sections)

    @classmethod
    def at(
        cls, start: "tuple[tuple[str, float], tuple[str, float]]", replicate: int, sections: Mapping[str, Any]
    ) -> Self:
        """The run of these sections that starts where two values of the grid say."""
        ratio = sections["dynamics"].rate_ratio
        initialization = sections["init"].at(sections["task"].scale, rate_ratio=ratio, **dict(start))
        return cls(initialization=initialization, start=start, replicate=replicate, **sections)

    def _sections(self) -> dict[str, Section]:
        return {section: getattr(self, section) for section in SECTIONS}


def _section(name: str, values: Mapping[str, Any]) -> Section:
    family = FAMILIES.get(name)
    if family is None:
        return SECTIONS[name](**values)
    rest = {key: value for key, value in values.items() if key != family.selector}
    section: Section = family.members[values[family.selector]](**rest)
    return section


def _plain(value: Any) -> Any:
    """A value as a table holds it: a rule with a number as text, such as "paper/5"."""
    return str(value) if isinstance(value, BaseModel) else value
