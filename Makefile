# The checks of linphase by name; CONTRIBUTING.md says what each is for.
.PHONY: check lint fast slow docs bench lowest

check: lint fast

lint:
	ruff check .
	ruff format --check .
	mypy

fast:
	pytest

# Needs SLURM (.ci/start_slurm) and chromium; what is not there is skipped.
slow:
	pytest -m slow -n 2
	pytest -m alone -n 0

docs:
	python docs/generate.py

bench:
	python -m benchmarks

# The lowest versions that pyproject.toml declares. Other letters than theirs would fail all golden images.
lowest:
	python3 -m venv --clear build/lowest
	build/lowest/bin/pip install --quiet uv
	build/lowest/bin/uv pip install --python build/lowest/bin/python --resolution lowest-direct '.[test-lowest]'
	build/lowest/bin/python -m pytest --ignore tests/figures/test_golden.py
