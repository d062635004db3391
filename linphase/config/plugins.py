"""Files of the user's own that declare observables, dynamics and panels: loaded from their bytes, known by a digest.

A worker gets the bytes with its batch, so it needs no file; and nothing stored in a results directory is ever run.
"""

import hashlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from linphase.errors import ConfigError
from linphase.model.registry import forget, modules

_PREFIX = "linphase_plugin_"  # of the module that a file becomes
_loaded: dict[str, str] = {}  # digest of what is loaded, by module


@dataclass(frozen=True)
class Plugin:
    """A file that declares something; `name` is its file name, such as heavy_ball.py."""

    name: str
    source: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of its bytes."""
        return hashlib.sha256(self.source).hexdigest()[:16]

    @property
    def module(self) -> str:
        """The module that it becomes, which a later version of the file replaces."""
        return _PREFIX + self.name.removesuffix(".py")


def read_plugin(file: Path) -> Plugin:
    """The plugin in a file.

    Raises ConfigError where it cannot be read or is not named like a module.
    """
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise ConfigError(
            f"plugins: a Python file named like a module is required, such as my_dynamics.py, found {file}"
        )
    try:
        return Plugin(file.name, file.read_bytes())
    except OSError as error:
        raise ConfigError(f"plugins: {file} cannot be read: {error.strerror or error}") from error


def load(plugins: Sequence[Plugin]) -> None:
    """Declare what these plugins hold; one that is loaded already stays, another version of it goes.

    Raises ConfigError, with file and line, where one cannot be imported; then none of it is declared.
    """
    for plugin in plugins:
        if _loaded.get(plugin.module) != plugin.digest:
            _unload(plugin.module)
            _load(plugin)


def activate(plugins: Sequence[Plugin]) -> None:
    """Have the declarations of these plugins, and of no others, in force."""
    wanted = {plugin.module for plugin in plugins}
    for module in [module for module in _loaded if module not in wanted]:
        _unload(module)
    load(plugins)


def digest_of(declared: type) -> str | None:
    """The digest of the plugin that declared a class; None where it is linphase's own or a notebook's."""
    return _loaded.get(declared.__module__)


def homeless(plugins: Iterable[Plugin]) -> list[str]:
    """Modules that have declared something and are neither linphase's nor a plugin's: workers do not have them."""
    return sorted(modules() - {plugin.module for plugin in plugins})


def _load(plugin: Plugin) -> None:
    module = ModuleType(plugin.module)
    module.__file__ = plugin.name
    sys.modules[plugin.module] = module
    try:
        exec(compile(plugin.source, plugin.name, "exec"), vars(module))
    except BaseException as error:
        _unload(plugin.module)
        if not isinstance(error, Exception):
            raise
        raise ConfigError(
            f"plugins: {plugin.name}{_line(error, plugin.name)} cannot be imported: {_told(error)}"
        ) from None
    _loaded[plugin.module] = plugin.digest


def _unload(module: str) -> None:
    forget(module)
    sys.modules.pop(module, None)
    _loaded.pop(module, None)


def _line(error: Exception, name: str) -> str:
    """Where in the file it went wrong, as ":12"."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return f":{lines[-1]}" if lines else ""


def _told(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else getattr(error, "message", str(error))
    text = " ".join(text.split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
