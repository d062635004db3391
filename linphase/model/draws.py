"""The tasks that a configuration asks for: draws Y = A* + E, a low-rank signal under noise, or arrays of one's own."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.model.section import Content, Internal, Section, Younger
from linphase.model.streams import stream
from linphase.model.task import Array, Reduced, Regression, Task, reduced
from linphase.model.threads import one_blas_thread

_CHUNK = 4096  # samples that are drawn at a time
COLORED = ("data", "samples", "capacity_exponent", "input_decay")  # keys each of which leaves inputs white by default


class TaskConfig(Section):
    """The target Y = A* + E: A* of the given rank and E of the given noise are (output_dimension, dimension).

    Of a target of one's own dimension, output_dimension and noise are what is found in it, and are not hashed: they
    follow from the arrays and the rank (`own_task`).
    """

    dimension: int = Field(
        default=64,
        ge=2,
        le=20_000,
        title="columns of the signal A* and the noise E, d_in",
        description="an integer from 2 to 20000",
    )
    rank: int = Field(
        default=4,
        ge=0,  # of a target of one's own, where none is given
        le=20_000,
        title="rank k of A*",
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
        title="rows of A* and E, d_out; where it is not given as many as columns, d",
        description="an integer from 1 to 20000",
    )
    signal_decay: Annotated[float | None, Younger] = Field(
        default=None,
        ge=-10,
        le=10,
        title="exponent a: the singular values of A* are i^-a, i = 1 .. k, rescaled; else A* is a Gaussian draw",
        description="a number from -10 to 10",
    )
    input_decay: Annotated[float, Younger] = Field(
        default=0.0,
        ge=-10,
        le=10,
        title="exponent b: the inputs' covariance has the eigenvalues j^-b, j = 1 .. d_in, rescaled to the trace d_in",
        description="a number from -10 to 10",
    )
    input_alignment: Annotated[Literal["random", "aligned"], Younger] = Field(
        default="random",
        title='"aligned": the right singular vectors of A* are the leading eigenvectors of the covariance; with '
        'signal_decay. "random": they have nothing to do with them',
        description='"random" or "aligned"',
    )
    samples: Annotated[int | None, Younger] = Field(
        default=None,
        ge=1,
        le=10**7,
        title="number n of samples y = A* x + noise to train on; where it is not given, the population",
        description="an integer from 1 to 10^7",
    )
    capacity_exponent: Annotated[float | None, Younger] = Field(
        default=None,
        ge=0,
        le=10,
        title="exponent alpha, with output_dimension = 1 and source_exponent: the covariance has the eigenvalues "
        "lambda_j = j^-alpha, and their vectors those of A*",
        description="a number from 0 to 10",
    )
    source_exponent: Annotated[float | None, Younger] = Field(
        default=None,
        gt=0,
        le=10,
        title="exponent beta: the entries w_j of A* in these vectors are given by w_j^2 lambda_j = j^(-alpha beta - 1)",
        description="a number above 0 and at most 10",
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

    data: Annotated[str | None, Younger, Content, Internal] = Field(
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

    @model_validator(mode="after")
    def _spectra_fit(self) -> Self:
        exponents = self.capacity_exponent, self.source_exponent
        if (exponents[0] is None) != (exponents[1] is None):
            raise ValueError("capacity_exponent and source_exponent must be given together, found one of them")
        if exponents[0] is not None and (self.output_dimension != 1 or self.signal_decay is not None
                                         or self.input_decay != 0):  # fmt: skip
            raise ValueError(
                "capacity_exponent must be given with output_dimension = 1 and without signal_decay and input_decay"
            )
        if self.input_alignment == "aligned" and self.signal_decay is None:
            raise ValueError('input_alignment = "aligned" must be given with signal_decay, found none')
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
        return self.own is None and self.signal_decay is None and self.white

    @property
    def white(self) -> bool:
        """Whether the inputs' covariance is the identity, that of the population."""
        return all(getattr(self, key) == type(self).model_fields[key].default for key in COLORED)

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
    the same E. With signal_norm given, A* is rescaled to ||A*||_F^2/(d_out d_in) = signal_norm. With signal_decay a it
    is U diag(i^-a) V^T of orthonormal columns, U and V the Q of these draws, rescaled likewise (signal_norm 1 where it
    is not given). Other inputs than white ones have the covariance diag(j^-b), and samples of these are drawn one after
    the other, so that fewer are the first of more (docs/theory.md, "Data").
    """
    if config is not None and keys:
        raise LinphaseError(f"draw_task: a TaskConfig or keys of one are required, found both: {', '.join(keys)}")
    config = TaskConfig(**keys) if config is None else config
    if not isinstance(config, TaskConfig):
        raise LinphaseError(f"draw_task: a TaskConfig or keys of one are required, found {config!r:.60}")
    if config.target is not None:
        signal = None if config.signal is None else arrays.find(config.signal)
        return Task(signal, arrays.find(config.target), config.rank, config.noise)
    if config.data is not None:
        return Regression.of_told(arrays.find(config.data), config.rank, config.noise)
    (d_out, d_in), k = config.shape, config.rank
    U = stream(seed, replicate, "U").standard_normal((k, d_out)).T * k**-0.25
    V = stream(seed, replicate, "V").standard_normal((k, d_in)).T * k**-0.25
    signal = _signal(config, U, V)
    if config.samples is not None:
        return _of_samples(config, signal, seed, replicate)
    E = stream(seed, replicate, "E").standard_normal((d_out, d_in))
    target = signal + config.noise * E
    if config.white:
        return Task(signal=signal, target=target, rank=k, noise_level=config.noise)
    root = np.diag(np.sqrt(input_spectrum(config)))
    return _regression(config, signal, Reduced(root, target @ root, 0.0), config.noise**2)


def input_spectrum(config: TaskConfig) -> Array:
    """The eigenvalues of the inputs' covariance, (d_in,): j^-alpha as they are, or j^-b rescaled to the trace d_in."""
    j = np.arange(1, config.dimension + 1, dtype=np.float64)
    if config.capacity_exponent is not None:
        return np.asarray(j**-config.capacity_exponent)
    spectrum = j**-config.input_decay
    return np.asarray(spectrum * (config.dimension / spectrum.sum()))


def _signal(config: TaskConfig, U: Array, V: Array) -> Array:
    """A* (d_out, d_in) of the draws U (d_out, k) and V (d_in, k); the covariance is diagonal."""
    norm, (_, d_in) = config.signal_norm, config.shape
    if config.source_exponent is not None:
        spectrum, j = input_spectrum(config), np.arange(1, d_in + 1, dtype=np.float64)
        assert config.capacity_exponent is not None
        signal = np.sqrt(j ** (-config.capacity_exponent * config.source_exponent - 1) / spectrum)[None]
    elif config.signal_decay is not None:
        right = np.eye(d_in, config.rank) if config.input_alignment == "aligned" else _orthonormal(V)
        signal = (_orthonormal(U) * np.arange(1, config.rank + 1.0) ** -config.signal_decay) @ right.T
        norm = 1.0 if norm is None else norm
    else:
        signal = U @ V.T
    if norm is not None:
        signal *= config.scale * np.sqrt(norm) / np.linalg.norm(signal)
    return signal


def _orthonormal(columns: Array) -> Array:
    """Columns (d, k) of a Haar-distributed orthogonal matrix, of Gaussian ones: Q with the diagonal of R positive."""
    with one_blas_thread():
        Q, R = np.linalg.qr(columns)
    return np.asarray(Q * np.sign(np.diag(R)))


def _of_samples(config: TaskConfig, signal: Array, seed: int, replicate: int) -> Regression:
    """X = Sigma^(1/2) Z and Y = A* X + noise E, Z and E of n samples, drawn sample by sample."""
    d_out, d_in = config.shape
    n, root = config.samples or 0, np.sqrt(input_spectrum(config))
    inputs, labels = (stream(seed, replicate, purpose) for purpose in ("samples", "labels"))

    def samples() -> Iterator[tuple[Array, Array]]:
        for first in range(0, n, _CHUNK):
            m = min(_CHUNK, n - first)
            X = inputs.standard_normal((m, d_in)) * root
            yield X, X @ signal.T + config.noise * labels.standard_normal((m, d_out))

    with one_blas_thread():
        fit = reduced(samples())
    return _regression(config, signal, fit, config.noise**2 * len(fit.inputs) / (n * d_in))


def _regression(config: TaskConfig, signal: Array, fit: Reduced, error_scale: float) -> Regression:
    """The task of what the loss sees, with the population's test error."""
    root = np.diag(np.sqrt(input_spectrum(config)))
    return Regression(
        signal,
        fit.target,
        config.rank,
        config.noise,
        inputs=fit.inputs,
        irreducible=fit.irreducible,
        held_out=Reduced(root, signal @ root, 0.0),
        scale_of_errors=error_scale or None,
    )
