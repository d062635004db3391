"""The rooms of the house, one direction of imports, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "linphase"
# The spine: a room may import the rooms written before it, never one after it.
ROOMS = (
    *("errors", "files", "model", "theory", "dynamics", "runs", "config", "store", "diagram", "sweeps", "figures"),
    *("pages", "cli"),
)
FILES = sorted(PACKAGE.rglob("*.py"))


def module(file: Path) -> str:
    """linphase.room.name of a file; a package is its folder."""
    path = file.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(path.parts).removesuffix(".__init__")


NAMES = {module(file) for file in FILES}


def room(name: str) -> str:
    return name.split(".")[1]


# Methods of a line that call a later room, by the class they are of, and what each of them imports.
METHODS = {
    "linphase.store.results": {
        "Results.plot": "linphase.figures.drawing",
        "Results.boundaries": "linphase.diagram.measured",
        "Results.to_xarray": "linphase.diagram.dataset",
    },
    "linphase.runs.records": {"TrainedRun.plot": "linphase.figures.evolution"},
}


def methods(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """By the name of their class and their own."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        f"{one.name}.{node.name}": node for one in classes for node in one.body if isinstance(node, ast.FunctionDef)
    }


def imports(file: Path) -> set[str]:
    """The modules of linphase that a file imports, but for those of METHODS and of the types of their arguments."""
    found = set()
    tree = ast.parse(file.read_text())
    for name in METHODS.get(module(file), {}):
        methods(tree)[name].body.clear()
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("linphase.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "linphase":
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & NAMES) or {str(node.module)}
    return found - {"linphase"}


INSIDE = [file for file in FILES if file.parent != PACKAGE or file.stem in ROOMS]


def test_every_module_lies_in_a_room():
    assert {room(module(file)) for file in INSIDE} == set(ROOMS)
    assert {file.name for file in FILES if file not in INSIDE} == {"__init__.py", "__main__.py"}


def test_a_room_imports_only_rooms_before_it():
    for file in INSIDE:
        here = ROOMS.index(room(module(file)))
        assert not {name for name in imports(file) if ROOMS.index(room(name)) > here}, file


def test_no_module_imports_itself_by_way_of_others():
    left = {module(file): imports(file) & NAMES for file in INSIDE}
    while left:
        free = {name for name, used in left.items() if not used & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: used for name, used in left.items() if name not in free}


def test_no_two_modules_bear_one_name_nor_that_of_an_exported_function():
    import linphase

    names = [file.stem for file in FILES if file.stem not in ("__init__", "__main__")]
    assert len(names) == len(set(names))
    assert not set(names) & {name for name in linphase.__all__ if name[0].islower()}
    assert not {"utils", "helpers", "misc", "common", "shared", "manager"} & set(names)


# Imports inside functions: the command line's, for its start-up; extras; and these, each with its reason.
INSIDE_FUNCTIONS = {
    "linphase.sweeps.sweeping": {"linphase.sweeps.dask"},  # only where there is a scheduler
    "linphase.sweeps.dask": {"distributed"},  # an extra
    "linphase.pages.explorer": {"plotly.offline"},  # an extra
    "linphase.diagram.dataset": {"xarray"},  # an extra
}


def test_methods_that_call_a_later_room_do_nothing_else():
    for file in (file for file in INSIDE if module(file) in METHODS):
        for name, later in METHODS[module(file)].items():
            told, imported, *rest = methods(ast.parse(file.read_text()))[name].body
            assert isinstance(told, ast.Expr)
            assert isinstance(imported, ast.ImportFrom), name
            assert imported.module == later
            assert [type(node) for node in rest] in ([ast.Return], [ast.Assign, ast.Return])


def test_imports_stand_at_the_top_of_a_module():
    for file in (file for file in INSIDE if room(module(file)) != "cli"):
        tree = ast.parse(file.read_text())
        for name in METHODS.get(module(file), {}):
            methods(tree)[name].body.clear()
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        found = set()
        for node in (node for function in functions for node in ast.walk(function)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module))
        assert found <= INSIDE_FUNCTIONS.get(module(file), set()), file


def test_a_rooms_own_init_imports_nothing_but_the_dynamics_their_modules():
    for file in INSIDE:
        if file.stem == "__init__" and room(module(file)) != "cli":
            assert all(name.startswith("linphase.dynamics.") for name in imports(file))


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        (
            "import linphase, linphase.cli",
            {"numpy", "scipy", "pandas", "pyarrow", "matplotlib", "pydantic", "rich", "joblib"},
        ),
        ("import linphase.sweeps.batch", {"pandas", "matplotlib", "rich"}),  # what a worker imports
        ("import linphase.store.results, linphase.sweeps.plan", {"matplotlib", "joblib"}),  # what status imports
    ],
)
def test_heavy_packages_are_imported_where_they_are_used(statement, heavy):
    code = f"{statement}; import sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not heavy & set(out.split())
