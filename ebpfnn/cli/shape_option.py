"""Shapes as users type them: 28x28, 3x32x32 or 784."""

from __future__ import annotations

import re
from typing import Any

import click

from ..network.layers import Shape


class ShapeType(click.ParamType[Shape]):
    """ROWSxCOLUMNS, CHANNELSxROWSxCOLUMNS, or VALUES."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shape:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch("[1-9][0-9]{0,6}(x[1-9][0-9]{0,6}){0,2}", value):
            self.fail(f"{value!r} is no shape; give one such as 28x28, 3x32x32 or 784", param, ctx)
        return tuple(map(int, value.split("x")))


class TilesType(click.ParamType[tuple[int, int]]):
    """ROWSxCOLUMNS."""

    name = "tiles"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch("[1-9][0-9]?x[1-9][0-9]?", value):
            self.fail(f"{value!r} are no tiles; give rows and columns, such as 2x4", param, ctx)
        rows, columns = map(int, value.split("x"))
        return rows, columns


PREPARE = "How samples are made: KIND, or KIND:KEY=VALUE,... [default: by the data]"
"""Help of ``--prepare``."""
