"""The action ``drop`` behind each shell that can act: what the program returns for a packet."""

from __future__ import annotations

import time

import pytest
from acting import ACK, CODES, DIRECTIONS, FIN, RST, SYN, Build, acting, only, returned, tcp, udp
from eventframes import ethernet

from ebpfnn.plugin import Plugins, Trigger, configured, why_not

pytestmark = pytest.mark.root


@pytest.fixture(params=DIRECTIONS, ids=lambda given: "-".join([given[0], *given[1].values()]))
def trigger(request: pytest.FixtureRequest) -> Trigger:
    name, options = request.param
    found = Plugins.installed().triggers[name]
    if lack := why_not(found):
        pytest.skip(lack)
    return configured(found.guard(), options)


def test_what_is_to_be_acted_on_is_dropped_and_nothing_else(build_spec: Build, trigger: Trigger) -> None:
    dropped, passed = CODES[trigger.name]
    with acting(build_spec, trigger, Plugins.installed().action("drop")) as loaded:
        program = only(loaded)
        for frame in (udp(), tcp(SYN), tcp(ACK), tcp(0), tcp(255 - FIN - RST)):
            assert returned(program, frame) == dropped
        for frame in (udp(81), tcp(SYN, 81), ethernet(0x0806, bytes(46))):
            assert returned(program, frame) == passed


def test_the_end_of_a_connection_passes_but_no_flood_of_ends(build_spec: Build, trigger: Trigger) -> None:
    dropped, passed = CODES[trigger.name]
    with acting(build_spec, trigger, Plugins.installed().action("drop")) as loaded:
        program = only(loaded)
        found = [returned(program, tcp(flags)) for flags in (FIN, RST, FIN | ACK, RST | ACK)]
        assert found == [passed] * 4
        begun = time.monotonic()
        flood = [returned(program, tcp(FIN)) for _ in range(1000)]
        assert set(flood) == {dropped, passed}
        assert flood.count(passed) <= 100 * (2 + int(time.monotonic() - begun))
        assert returned(program, tcp(FIN, 81)) == passed
