"""One run: what decides it, how it ends, what is kept of it, trained or predicted."""
