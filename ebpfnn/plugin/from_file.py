"""Plugins from files, for plugin authors. Such a file is executed because the user named it, only in this process."""

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
    """Executes and registers each plugin in ``paths``, files and packages. It replaces an installed one of the same name.

    A plugin has the name of its file, a package that of its directory. One that is ``disabled`` is not executed. Returns the
    path of each by its name.

    Raises :class:`PluginError` for a path without a plugin, two plugins of one name, and a plugin that fails. An installed
    plugin that fails is only reported, but this one was requested.
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
    """The file to execute, and the name of its plugin."""
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
    except (Exception, SystemExit) as error:  # foreign code: every exception becomes one line
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
    sys.modules[spec.name] = module  # dataclasses and relative imports look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _line(error: BaseException, file: Path) -> str:
    """The line of ``file`` where the error occurred: the innermost one that was being executed."""
    if isinstance(error, SyntaxError):
        return ""  # the message names the line
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {lines[-1]})" if lines else ""
