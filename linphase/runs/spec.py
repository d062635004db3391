"""What decides the numbers of one run: the sections of a configuration, the start, and the id they are hashed to."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from linphase.dynamics.kinds import KEYS_OF_KIND, DynamicsConfig
from linphase.model.network import Initialization
from linphase.model.section import Section
from linphase.model.task import TaskConfig
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import KEYS_OF_RULE, StopConfig

NUMERICS_VERSION = 2  # part of every run id: raised only when linphase's numbers change


# The key that chooses among the keys of its section, and the keys that each choice uses.
SELECTORS = {"dynamics": ("dynamics.kind", KEYS_OF_KIND), "stop": ("stop.rule", KEYS_OF_RULE)}


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
