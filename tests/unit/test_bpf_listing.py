"""``ebpfnn bpf list`` prints what others named."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ebpfnn.cli.bpf import command
from ebpfnn.kernel.inspect import listing
from ebpfnn.kernel.inspect.listing import LinkEntry


def test_file_names_cannot_drive_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    link = LinkEntry(7, "uprobe_multi", 3, None, [], {"path": "/bin/\x1b[31mred"})
    monkeypatch.setattr(listing, "links", lambda: iter([link]))
    table = CliRunner().invoke(command, ["list", "links"]).output
    assert "\x1b" not in table
    assert r"path=/bin/\x1b[31mred" in table
    told = json.loads(CliRunner().invoke(command, ["list", "links", "--json"]).output)
    assert told["links"][0]["target"] == link.target
