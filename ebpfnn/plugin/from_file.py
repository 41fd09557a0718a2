"""A plugin from a file, for whoever writes one: it is executed because the user named it, and for this process alone."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Container, Iterable
from pathlib import Path
from types import ModuleType

import pluggy

from ..errors import PluginError
from .declared import why_another
from .discovery import check_hooks, describe

_PREFIX = "_ebpfnn_plugin_"


def register_files(manager: pluggy.PluginManager, paths: Iterable[Path], disabled: Container[str] = ()) -> dict[str, str]:
    """Executes and registers each plugin in ``paths``, files and packages, in place of an installed one of its name.

    A plugin is called after its file, a package after its directory; one that is ``disabled`` is not executed. Returns the path
    of each by its name.

    Raises :class:`PluginError` for a path that holds no plugin, two of one name, and a plugin that breaks: unlike one that is
    installed, somebody wants it now.
    """
    found: dict[str, str] = {}
    for path in paths:
        file, name = _file_of(path)
        if name in disabled:
            continue
        if name in found:
            raise PluginError(f"{path}: a plugin '{name}' was given as {found[name]} already; rename one of them")
        found[name] = str(path)
        if manager.has_plugin(name):
            manager.unregister(name=name)
        _register(manager, name, file)
    return found


def _file_of(path: Path) -> tuple[Path, str]:
    """The file to execute, and what the plugin in it is called."""
    whole = path.absolute()
    file = whole / "__init__.py" if whole.is_dir() else whole
    if file.suffix != ".py" or not file.is_file():
        raise PluginError(f"{path}: not a plugin; give a Python file, or a directory with an __init__.py in it")
    return file, file.parent.name if file.stem == "__init__" else file.stem


def _register(manager: pluggy.PluginManager, name: str, file: Path) -> None:
    try:
        module = _execute(name, file)
        reason = why_another(module, module.__name__)
        if reason is None:
            manager.register(module, name=name)
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises is told in one line
        raise PluginError(f"{file}: plugin '{name}' cannot be used: {describe(error)}{_line(error, file)}") from error
    if reason is not None:
        raise PluginError(f"{file}: plugin '{name}' {reason}")
    if not manager.get_hookcallers(module):
        raise PluginError(f"{file}: implements no hook; mark its functions with @ebpfnn.plugin.hookimpl")
    check_hooks(manager)


def _execute(name: str, file: Path) -> ModuleType:
    package = [str(file.parent)] if file.stem == "__init__" else None
    spec = importlib.util.spec_from_file_location(_PREFIX + name, file, submodule_search_locations=package)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not what Python imports")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and relative imports look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _line(error: BaseException, file: Path) -> str:
    """Where in ``file`` the error arose: the innermost of its lines that was being executed."""
    if isinstance(error, SyntaxError):
        return ""  # its own words tell the line
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
