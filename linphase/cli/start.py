"""`linphase init`, `schema` and `cite`: a configuration to begin with, its keys for editors, and what to cite."""

from pathlib import Path

import click

from linphase import __version__
from linphase.cli.output import echo, echo_exactly
from linphase.errors import ConfigError


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a commented configuration to begin with.

    It is called sweep.toml; beside it comes the JSON Schema that editors read. Nothing is ever overwritten. DIR is made
    if it does not exist; without DIR the files go into the working directory.

    \b
    Example:
      linphase init my_question
      linphase sweep my_question/sweep.toml
    """
    from linphase.config.schema import SCHEMA_FILE, STARTER_FILE, config_schema_text, starter

    texts = {directory / STARTER_FILE: starter(), directory / SCHEMA_FILE: config_schema_text()}
    there = [str(file) for file in texts if file.exists() or file.is_symlink()]
    if there:
        raise ConfigError(
            f"{' and '.join(there)}: linphase init needs a place where this is not there yet, and overwrites nothing. "
            "Give another directory, as in linphase init my_question, or move it away"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with file.open("x", encoding="utf-8") as handle:
                handle.write(text)
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be written: {error.strerror or error}. Give another directory"
        ) from error
    starter_file = directory / STARTER_FILE
    echo(f"Configuration: {starter_file}")
    echo(f"Next: linphase sweep {starter_file} --dry-run")


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors.

    Editors complete and check keys by it. Taplo and its extensions (Even Better TOML) read it where the first line of a
    TOML file is "#:schema ./linphase.schema.json".

    \b
    Example:
      linphase schema > linphase.schema.json
    """
    from linphase.config.schema import config_schema_text

    echo_exactly(config_schema_text())


@click.command()
def cite() -> None:
    """Print what to cite as BibTeX.

    That is linphase, the paper, and the methods used, each with what it is cited for.

    \b
    Example:
      linphase cite > linphase.bib
    """
    from importlib.resources import files

    references = files("linphase.cli").joinpath("linphase.bib").read_text(encoding="utf-8")
    echo_exactly(references.replace("{VERSION}", f"{{{__version__}}}"))
