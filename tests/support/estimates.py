"""What a plan says beforehand of the code, held against the code."""

from __future__ import annotations

from collections.abc import Iterator

from ebpfnn.compiler import KernelFeatures, NetworkPlan, compile_network
from ebpfnn.network import QuantizedNetwork


def plans(plan: NetworkPlan | None) -> Iterator[NetworkPlan]:
    """The plan of each network of a cascade."""
    while plan:
        yield plan
        plan = plan.then


def check_estimates(net: QuantizedNetwork, features: KernelFeatures, name: str | None = None, *, tight: bool = False) -> None:
    """Against what was written: stack, tables and branches exactly, instructions that are walked within a fifth."""
    compiled = compile_network(net, features, name, tight=tight)
    stages = list(plans(compiled.plan))
    estimates = [each for plan in stages for each in plan.estimates]
    assert max(plan.stack for plan in stages) == compiled.stack
    assert [each.table_bytes for each in estimates] == [code.table_bytes for code in compiled.layers]
    assert [each.forks for each in estimates] == [code.forks for code in compiled.layers]
    for code, guess in zip(compiled.layers, estimates, strict=True):
        assert 0.8 * code.walked - 20 < guess.walked < 1.2 * code.walked + 20
    assert sum(code.table_bytes for code in compiled.layers) == sum(
        len(each.contents or b"") for each in compiled.spec.maps.values()
    )
