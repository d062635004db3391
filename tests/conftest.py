"""One BLAS thread for every test, as in every sweep: the same bits, and no time lost in threads on small matrices."""

import os
import shutil
import tomllib

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """A directory that is dear to make, by its name and its maker: once for all processes that test at once."""
    fcntl = pytest.importorskip("fcntl")
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent

    def once(name, make):
        path, made = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(path, ignore_errors=True)  # of a maker that failed
                path.mkdir()
                make(path)
                made.touch()
        return path

    return once


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The results of `tests.processes.TINY`, for tests that only read them; to write, copy them."""
    from linphase.config.config import parse_config
    from tests.processes import TINY, train_here

    path = tmp_path_factory.mktemp("tiny") / "tiny"
    train_here(parse_config(tomllib.loads(TINY)), path)
    return path


@pytest.fixture(scope="session")
def slower(tmp_path_factory):
    """The undisturbed sweep of `tests.processes.SLOWER` that disturbed ones are compared with."""
    from tests.processes import finish, start_sweep

    path = tmp_path_factory.mktemp("slower")
    finish(start_sweep(path))
    return path / "r"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Under .ci/run, which installs all that tests need, a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("LINPHASE_CI"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {call.excinfo.value if call.excinfo else ''}"
    return report


def pytest_terminal_summary(terminalreporter):
    """List the code blocks of the README and the docs that no test here runs, each with its reason."""
    from tests.test_docs import DOCUMENTS, blocks

    terminalreporter.section("code blocks that are not run as they stand")
    for document in ("README.md", *DOCUMENTS):
        for block in blocks(document):
            if block.note:
                first, *rest = block.code.strip().splitlines()
                terminalreporter.line(f"{document}: {first}{' ...' if rest else ''}\n  {block.note}")
