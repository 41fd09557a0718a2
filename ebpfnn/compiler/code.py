"""What a plugin writes the body of a model with."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..obj.asm import R0, R1, R2, R10, Register
from .body import Body
from .emitter import OUTCOME, SAMPLE, Emitter
from .features import NEWEST, KernelFeatures
from .limits import check
from .scores import SCORES, emit_label


class BodyCode:
    """Writes ``ebpfnn_infer`` for a kernel that has ``features``.

    ``asm`` takes every instruction (:class:`~ebpfnn.obj.asm.Assembler`). R0 to R9 are free, and so is the stack from r10 - 24
    down to r10 - 448. The methods here change no register but the one that is given to them.
    """

    def __init__(self, features: KernelFeatures = NEWEST) -> None:
        self._emit = Emitter(features)
        self.asm = self._emit
        self.asm.store("u64", R10, SAMPLE, R1)
        self.asm.store("u64", R10, OUTCOME, R2)

    def sample(self, to: Register) -> None:
        """``to`` = the address of the sample: as many bytes as the model takes, padded to a multiple of 8."""
        self.asm.load(to, "u64", R10, SAMPLE)

    def result(self, to: Register) -> None:
        """``to`` = the address of the result, from which :meth:`workspace` counts."""
        self.asm.load(to, "u64", R10, OUTCOME)

    def workspace(self, size: int) -> int:
        """Allocates ``size`` bytes behind the result, and returns their offset from it. They hold what an earlier run left."""
        return self._emit.region(size).offset

    def table(self, name: str, contents: NDArray[Any]) -> None:
        """Adds constants, which are read-only once they are loaded. Raises :class:`~ebpfnn.errors.ModelError` if too large."""
        self._emit.table(name, contents)

    def table_address(self, to: Register, name: str, offset: int = 0) -> None:
        """``to`` = the address of byte ``offset`` of a table."""
        self.asm.map_value(to, name, offset)

    def put(self, number: int, score: Register, scratch: Register) -> None:
        """Score number ``number`` = the lower 32 bits of ``score``. Overwrites ``scratch``."""
        self.result(scratch)
        self.asm.store("u32", scratch, SCORES.offset + 4 * number, score)

    def finish(self, name: str, labels: int) -> Body:
        """Writes the label, that of the highest of ``labels`` scores, and returns the body of the model ``name``.

        Raises :class:`~ebpfnn.errors.ModelError` for more than a kernel's verifier accepts, and
        :class:`~ebpfnn.errors.ObjectError` for a jump to nowhere.
        """
        emit_label(self._emit, labels)
        self.asm.mov(R0, 0)
        self.asm.exit()
        check(self._emit)
        return Body(self._emit.spec(name), self._emit.workspace)
