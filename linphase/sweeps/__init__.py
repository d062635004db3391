"""Many runs: planned, shared out to workers and committed as they finish."""
