"""A run specification brought to its result: trained, or predicted where the dynamics is theory's."""

import numpy as np

from linphase.dynamics import from_config
from linphase.network import gaussian_start
from linphase.prediction import predict
from linphase.spec import RunSpec
from linphase.task import Task, draw_task
from linphase.threads import one_blas_thread
from linphase.training import TrainedRun, train


def train_spec(spec: RunSpec, task: Task | None = None) -> TrainedRun:
    """The result of the run that a specification describes; `task` saves drawing it again (it is the replicate's)."""
    with one_blas_thread():
        seed, replicate, start = spec.run.seed, spec.replicate, spec.initialization
        task = task or draw_task(spec.task, seed=seed, replicate=replicate)
        if spec.dynamics.kind == "modes":
            return predict(task, start, stop=spec.stop, record=spec.record)
        weights = gaussian_start(start, task.shape, seed=seed, replicate=replicate)
        return train(
            task,
            weights.astype(np.dtype(spec.run.precision)),
            from_config(spec.dynamics),
            stop=spec.stop,
            record=spec.record,
            initialization=start,
            max_time=spec.run.max_time,
        )
