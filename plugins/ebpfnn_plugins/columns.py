"""The preparation ``columns``: rows of a table. Each column is compared with its own bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ebpfnn.errors import ModelError
from ebpfnn.plugin import InputFormat, Preparation, PreparationKind, hookimpl
from ebpfnn.preparation import Encoder, Item, Prepared
from ebpfnn.preparation.columns import inputs, listed, preparer, read
from ebpfnn.preparation.encoder import BUILT_IN


class Columns(PreparationKind):
    name = "columns"
    summary = "rows of a table: how many of a column's own bounds its value reaches"

    def __init__(self, encoders: Mapping[str, Encoder] = BUILT_IN) -> None:
        self._encoders = encoders

    def with_encoders(self, encoders: Mapping[str, Encoder]) -> PreparationKind:
        return Columns(encoders)

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        try:
            columns = read(form.preparation.options, self._encoders)
        except ModelError as error:
            raise ModelError(f"preparation 'columns': {error}") from error
        if form.shape != (inputs(columns),):
            raise ModelError(f"preparation 'columns': they give {inputs(columns)} values, but the network takes {form.shape}")
        if columns[0].thermometer != (form.bits == 1) or (form.bits == 1 and form.thresholds != (1,)):
            raise ModelError(
                "preparation 'columns': thermometers are for 1-bit inputs of threshold 1, and these for them alone"
            )
        sample = preparer(columns)
        return lambda item: (Prepared(sample(item)),)

    def describe(self, preparation: Preparation) -> str:
        try:
            return f"{self.name}: {listed(read(preparation.options, self._encoders))}"
        except ModelError as error:
            return f"{self.name}, not usable: {error}"


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [Columns()]
