"""One direction of imports, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "linphase"

# What each module may import of linphase, lowest first: an entry may use every entry above it that it names.
# It differs from the founding table where that proved awkward:
# - spec, grid, toml and conflicts are pieces of config: what decides one run, which is all that the physics needs of
#   it, and how a file is read and checked.
# - streams, outcomes, provenance, minimum and recorder are pieces of its modules that stand alone, too.
# - train and sweep are called training and sweeping, because `linphase.train` and `linphase.sweep` are functions.
# - store returns Trajectory, so it imports trajectory, which imports nothing.
PHYSICS = {
    "errors",
    "spec",
    "streams",
    "task",
    "network",
    "dynamics",
    "observables",
    "trajectory",
    "regime",
}
ALLOWED = {
    "errors": set(),
    "columns": set(),
    "regime": set(),
    "trajectory": set(),
    "streams": set(),
    "theory": set(),
    "provenance": set(),
    "outcomes": {"regime"},
    "spec": {"errors"},
    "grid": {"errors", "spec"},
    "toml": {"errors", "spec", "grid"},
    "conflicts": {"spec", "grid"},
    "shards": {"errors", "spec"},
    "slurm": {"errors", "shards"},
    "config": {"errors", "spec", "grid", "toml", "conflicts"},
    "task": {"errors", "spec", "streams"},
    "network": {"errors", "spec", "streams"},
    "dynamics": {"errors", "spec", "task", "network", "self_consistent"},
    "comparison": PHYSICS | {"self_consistent"},
    "boundary": {"outcomes", "regime", "theory"},
    "observables": {"task", "network"},
    "kernel": {"network"},
    "self_consistent": {"errors", "task", "network", "observables", "theory"},
    "minimum": PHYSICS,
    "recorder": PHYSICS | {"comparison"},
    "training": PHYSICS | {"minimum", "recorder", "comparison", "kernel", "threads"},
    "threads": set(),
    "prediction": PHYSICS | {"kernel", "self_consistent", "training"},
    "running": PHYSICS | {"prediction", "training", "threads"},
    "evolution": {"observables", "self_consistent", "spec", "task", "trajectory"},
    "store": {"errors", "spec", "config", "columns", "trajectory"},
    "sweeping": PHYSICS | {"config", "shards", "training", "running", "store", "provenance", "threads"},
    "explore": {"errors", "columns", "regime", "outcomes", "spec", "task", "self_consistent", "store", "figures"},
    "figures": {"boundary", "errors", "columns", "regime", "outcomes", "theory", "trajectory"},
    "citation": set(),
    "schema": {"spec", "grid", "config"},
    "report": {
        *(
            "boundary",
            "columns",
            "config",
            "errors",
            "figures",
            "outcomes",
            "regime",
            "store",
            "sweeping",
            "trajectory",
        ),
    },
}
EVERYTHING = {"cli", "__init__", "__main__"}


def modules() -> dict[str, list[Path]]:
    """Module name to its files; a package is one module."""
    found = {path.stem: [path] for path in PACKAGE.glob("*.py")}
    return found | {path.parent.name: sorted(path.parent.glob("*.py")) for path in PACKAGE.glob("*/__init__.py")}


def imports(file: Path) -> set[str]:
    """First-level linphase modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("linphase.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "linphase":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("linphase."):
            found.add(node.module.split(".")[1])
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_in_one_direction(module):
    if module in EVERYTHING:
        return
    assert module in ALLOWED, f"{module} is new: give it a place in the table"
    used = set().union(*(imports(file) for file in modules()[module])) - {module}
    assert used <= ALLOWED[module], f"{module} imports {sorted(used - ALLOWED[module])}"


def test_the_table_itself_has_no_cycle():
    placed: set[str] = set()
    while len(placed) < len(ALLOWED):
        ready = {module for module, used in ALLOWED.items() if used - {module} <= placed} - placed
        assert ready, f"a cycle among {sorted(set(ALLOWED) - placed)}"
        placed |= ready


def test_modules_are_not_called_utils():
    assert not {"utils", "helpers", "misc", "common", "manager"} & set(modules())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        (
            "import linphase, linphase.cli",
            {"numpy", "scipy", "pandas", "pyarrow", "matplotlib", "pydantic", "rich", "joblib"},
        ),
        ("import linphase.training, linphase.sweeping", {"pandas", "pyarrow", "matplotlib", "rich"}),
    ],
)
def test_heavy_packages_are_imported_where_they_are_used(statement, heavy):
    code = f"{statement}; import sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not heavy & set(out.split())
