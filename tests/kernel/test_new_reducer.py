"""The reducer that `ebpfnn plugins new reducer` writes, in the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import rigs

from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins
from ebpfnn.plugin.skeleton import write

pytestmark = pytest.mark.root


def test_what_is_written_counts_in_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_spec: Callable[..., ObjectSpec]
) -> None:
    write("reducer", "reached", tmp_path)
    plugins = Plugins.installed(files=[tmp_path / "reached" / "reached"])
    monkeypatch.setattr(rigs, "REDUCERS", plugins.reducers)
    levels = (0, 1, (1 << 31) - 1)
    columns = [{"name": f"n{level}", "reduce": "reached", "of": "u64", "level": level} for level in levels]
    with rigs.rig(build_spec, {"key": ["u8"], "column": columns}) as made:
        rows = [made.check({"u64": value}) for value in (0, 1, (1 << 31) - 2, (1 << 31) - 1, 1 << 63)]
    assert rows[-1] is not None
    assert rows[-1].results == (5, 4, 2)
