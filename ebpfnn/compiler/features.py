"""The kernel features that the compiler may use. They are arguments: equal network and features give an equal object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class KernelFeatures:
    """The defaults are those of Linux 6.6 and later; with all features off, code loads on Linux 5.10.

    The verifier does not walk two kinds of loops: ``iterators`` are open-coded ones over bpf_iter_num (Linux 6.4), which are
    preferred; ``callbacks`` are functions that the helper bpf_loop calls (Linux 5.17). ``sign_extension`` is the part of ISA v4
    that loads signed bytes (Linux 6.6). ``large_values`` allows map values that are larger than the kernel's allocator gives in
    one piece, 4 MiB (KMALLOC_MAX_SIZE; Linux 5.18).
    """

    iterators: bool = True
    callbacks: bool = True
    sign_extension: bool = True
    large_values: bool = True

    def newer(self) -> Iterator[tuple[str, KernelFeatures]]:
        """The features of kernels that have more of what lifts limits, the oldest first, and what they have."""
        if not self.large_values:
            yield "map values of more than 4 MiB (Linux 5.18)", replace(self, large_values=True)
        if not self.unwalked:
            yield "bpf_loop (Linux 5.17)", replace(self, callbacks=True)
        if not self.iterators:
            yield "bpf_iter_num (Linux 6.4)", replace(self, iterators=True, callbacks=True, large_values=True)

    @property
    def unwalked(self) -> bool:
        """Whether there are loops that the verifier does not walk."""
        return self.iterators or self.callbacks

    @property
    def largest_table(self) -> int:
        """The maximum size of a table, in bytes."""
        return 1 << (26 if self.large_values else 22)


NEWEST = KernelFeatures()
"""All of them."""
MIDDLE = KernelFeatures(iterators=False, sign_extension=False)
"""Linux 6.1: bpf_loop, but no iterators."""
OLDEST = KernelFeatures(iterators=False, callbacks=False, sign_extension=False, large_values=False)
"""Linux 5.10: only ISA v3 and bounded loops."""

BY_NAME = {"5.10": OLDEST, "6.1": MIDDLE, "6.18": NEWEST}
"""The same by a kernel that has them: names of sets. What loads a network asks the kernel, and compares no versions."""
