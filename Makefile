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
	pytest -m slow -n 3 --dist worksteal
	pytest -m alone -n 0

# The site is build/site/index.html; it needs `pip install '.[docs]'`. A broken link is an error.
docs:
	python docs/generate.py
	python -m sphinx -W --keep-going -q -c docs/site -d build/doctrees . build/site

bench:
	python -m benchmarks

# With the lowest versions that pyproject.toml declares. Their letters are not those of the golden images, and what they
# use of other packages may be deprecated today.
lowest:
	python3 -m venv --clear build/lowest
	build/lowest/bin/pip install --quiet uv
	build/lowest/bin/uv pip install --python build/lowest/bin/python --resolution lowest-direct '.[test-lowest]'
	build/lowest/bin/python -m pytest --ignore tests/figures/test_golden.py -W ignore::DeprecationWarning
