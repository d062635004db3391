"""Results on disk: immutable Parquet parts, read as one table.

    results/NAME/configs/DIGEST.json            every configuration that was run here
                 runs/part-*.parquet            one row for each finished run, scalars only: the commit
                 trajectories/part-*.parquet    the lists over time and over modes of the same runs
                 failures/part-*.parquet        attempts that failed
                 quarantine/                    damaged parts that `linphase check --repair` moved aside

Many processes may write, fold and read at once, any of them may be killed at any moment, and nobody holds a
lock. This rests on three rules:

1. A part appears complete, by a rename, under a name nobody else uses, and is never changed.
2. A run's row appears after its trajectory.
3. A part is deleted only after all its rows stand in a newer part.

So a finished run can be in several parts, and readers keep one copy; but it is always in at least one. A
reader that finds a listed part gone lists again.
"""
