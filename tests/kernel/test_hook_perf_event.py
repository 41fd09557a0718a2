"""Timers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures import loaded
from waiting import wait_until

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import LinkType, PerfType, attach_perf_event
from ebpfnn.kernel.features import has_cookies
from ebpfnn.kernel.link.perf_event import CPU_CLOCK, TASK_CLOCK
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
PROGRAM = """
SEC("perf_event") int tick(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
"""


@pytest.mark.parametrize("how", [{"period": 1_000_000}, {"frequency": 1000}], ids=["period", "frequency"])
@pytest.mark.parametrize("clock", [CPU_CLOCK, TASK_CLOCK])
def test_a_clock_ticks_on_this_thread(build_spec: Callable[[str], ObjectSpec], clock: int, how: dict[str, int]) -> None:
    with loaded(build_spec, PROGRAM) as held:
        with attach_perf_event(held.program, PerfType.SOFTWARE, clock, pid=0, cpu=-1, **how) as link:
            assert wait_until(lambda: sum(range(10000)) > 0 and held.hits >= 3)
            assert not has_cookies() or link.info().type is LinkType.PERF_EVENT
        after = held.hits
        sum(range(1_000_000))
        assert held.hits == after


def test_what_cannot_be_counted(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, PROGRAM) as held:
        with pytest.raises(NotSupported, match="this machine does not support it"):
            attach_perf_event(held.program, PerfType.SOFTWARE, 9999, period=1)
        with pytest.raises(KernelError, match="give either a period or a frequency"):
            attach_perf_event(held.program)
