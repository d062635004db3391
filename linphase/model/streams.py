"""Random numbers by name: every matrix has a stream of its own, independent of any place in a grid or queue."""

import numpy as np

# The position of a purpose is part of its stream: append, never reorder.
_PURPOSES = ("U", "V", "E", "W1", "W2", "samples", "labels", "label", "batch")


def dimension_seed(seed: int, shape: tuple[int, int]) -> int:
    """The root seed of one shape (d_out, d_in), where the draws of two are to be independent of each other."""
    d_out, d_in = shape
    words = (seed, d_in) if d_out == d_in else (seed, d_out, d_in)
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def stream(seed: int, replicate: int, purpose: str, width: int = 0) -> np.random.Generator:
    """Generator of standardized draws for one purpose.

    U, V, E, samples and labels are the task's, W1 and W2 the start's; label (noise on the labels, one (d_out, d_in) a
    step) and batch are of the steps of descent. The streams of start and steps also depend on the width, so that
    neighbouring cells of a grid are independent; the task's do not, so that a replicate has the same task in every
    cell. Nor does any depend on the dimension: a smaller matrix holds leading entries of a larger one (but those of
    the steps, each of which goes on where the last ended), unless the seed is `dimension_seed`'s.
    """
    key = (_PURPOSES.index(purpose), replicate, width)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
