"""The preparation ``columns``: rows of a table. Each column is compared with its own bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ebpfnn.errors import ModelError
from ebpfnn.plugin import InputFormat, Preparation, PreparationKind, hookimpl
from ebpfnn.preparation import Item, Prepared
from ebpfnn.preparation.columns import THERMOMETER, inputs, listed, preparer, read


class Columns(PreparationKind):
    name = "columns"
    summary = "rows of a table: how many of a column's own bounds its value reaches"

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        try:
            columns = read(form.preparation.options)
        except ModelError as error:
            raise ModelError(f"preparation 'columns': {error}") from error
        if form.shape != (inputs(columns),):
            raise ModelError(f"preparation 'columns': they give {inputs(columns)} values, but the network takes {form.shape}")
        if (columns[0].encode == THERMOMETER) != (form.bits == 1) or (form.bits == 1 and form.thresholds != (1,)):
            raise ModelError(
                "preparation 'columns': thermometers are for 1-bit inputs of threshold 1, and these for them alone"
            )
        sample = preparer(columns)
        return lambda item: (Prepared(sample(item)),)

    def describe(self, preparation: Preparation) -> str:
        return f"{self.name}: {listed(read(preparation.options))}"


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [Columns()]
