"""How `make docs` builds build/docs: these pages, and the API reference from the docstrings (api.md).

All that it reads is here: nothing is asked of the network, by the build or by the pages.
"""

from __future__ import annotations

import builtins
import re
import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

project = "ebpfnn"
version = release = version_of("ebpfnn")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
nitpicky = True

autodoc_default_options = {
    "members": True,
    "undoc-members": True,  # fields of dataclasses, which the class tells
    "inherited-members": "Exception, BaseException, Enum, IntEnum, IntFlag, int, ABC, AbstractContextManager, tuple",
}
autodoc_member_order = "groupwise"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_theme = "alabaster"
html_theme_options = {"description": "Neural networks that run inside the Linux kernel", "page_width": "1100px"}
html_show_copyright = False
html_copy_source = False

_MODULES = re.findall(r"^.. automodule:: ([\w.]+)$", (Path(__file__).parent / "api.md").read_text(), re.MULTILINE)


def _import_what_waits(_: Sphinx) -> None:
    """Has packages that import a name when it is first asked for hold it: autodoc lists what a module holds."""
    for module in map(import_module, _MODULES):
        vars(module).update({name: getattr(module, name) for name in getattr(module, "__all__", ())})


def _shorten(_: Sphinx, what: str, full: str, value: object, options: object, *signature: str | None) -> tuple[str | None, ...]:
    """Arrays in signatures as the code writes them."""
    array = re.compile(r"~?numpy\.ndarray\[.*?, ~?numpy\.dtype\[~?([\w.]+)\]\]")
    return tuple(part and array.sub(r"NDArray[\1]", part) for part in signature)


def _tell_constant(_: Sphinx, what: str, full: str, value: object, options: object, lines: list[str]) -> None:
    """Gives a constant the string after its assignment, which autodoc sees only in the file that assigns it."""
    package, _, name = full.rpartition(".")
    if what != "data":
        return
    for home in sorted(each for each in sys.modules if each.startswith(package)):
        told = ModuleAnalyzer.for_module(home).find_attr_docs().get(("", name))
        if told:
            lines[:] = told
            return


def _leave_builtins(_: Sphinx, page: nodes.document) -> None:
    """``type`` in an annotation is Python's own, and none of the attributes that are called so."""
    for node in list(page.findall(pending_xref)):
        if node.get("refdomain") == "py" and not node.get("refexplicit") and hasattr(builtins, node["reftarget"]):
            node.replace_self(nodes.Text(node["reftarget"]))


def _resolve(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """Finds a name as its docstring gives it, mostly the last part alone. What is there, but on no page, is plain text."""
    if node.get("refdomain") != "py":
        return None
    node["refspecific"], kind, target = True, node["reftype"], node["reftarget"]
    found = env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, kind, target, node, content)
    of_annotation = "refexplicit" not in node  # and not of a role
    return found or (content if of_annotation or _is_elsewhere(target) else None)


def _is_elsewhere(name: str) -> bool:
    """Whether ``name`` is a module, which is not imported (it may need PyTorch), or something in one."""
    with suppress(ImportError):
        if find_spec(name):
            return True
    module, _, last = name.rpartition(".")
    return hasattr(sys.modules.get(module), last)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", _import_what_waits)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-process-docstring", _tell_constant)
    app.connect("doctree-read", _leave_builtins)
    app.connect("missing-reference", _resolve)
