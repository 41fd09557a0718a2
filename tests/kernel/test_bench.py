"""Measuring in the kernel: every body and input gets its row, and is held to the reference."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clang import find_clang
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from forests import random_forest
from networks import random_network, samples
from tablenets import cascade, table_network

from ebpfnn.abi import INFER
from ebpfnn.bench import kernel_rows, measure
from ebpfnn.bench.inputs import Inputs, dense_inputs
from ebpfnn.bench.kernel_rows import KernelRunner, empty_body, kernel_runners
from ebpfnn.bench.measure import Bench
from ebpfnn.bench.rows import Row
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.compiler import Body, build_twin, compile_network
from ebpfnn.errors import NotSupported, SessionError, VerifierError
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.obj import insn
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = [pytest.mark.root, pytest.mark.slow]
OWN = ("empty", "naive", "twin", "compiled", "compiled:packed", "session.infer", "slot.run", "session.infer_many")


@pytest.fixture(autouse=True)
def rows_of_the_kernel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of user space have their own tests."""
    monkeypatch.setattr(measure, "float_runners", lambda _network, _left_out: ())
    monkeypatch.setattr(measure, "native_runners", lambda _network, _left_out: ())
    monkeypatch.setattr(measure, "table_rows", lambda _network, _left_out: ())
    monkeypatch.setattr(measure, "table_runners", lambda _network, _left_out: ())
    monkeypatch.setattr(measure, "tree_rows", lambda _forest, _left_out: ())
    monkeypatch.setattr(measure, "tree_runners", lambda _forest, _left_out: ())
    monkeypatch.setattr(measure, "RUNS", 64)
    monkeypatch.setattr(measure, "_EVICTING", 1 << 20)


def measured(net: QuantizedNetwork, *, cold: bool = False) -> list[Row]:
    given = samples(net.input_shape, 1)
    with Bench(RunTrigger()) as bench:
        bench.add(net, [Inputs("sparse", given, np.zeros(len(given), np.uint8)), dense_inputs(net, len(given))])
        bench.warm(range(2))
        if cold:
            bench.cold(range(1))
        return bench.rows


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("stages", [1, 2])
def test_rows_of_tables(packed: bool, stages: int) -> None:
    net = cascade(*(table_network(seed, packed=packed) for seed in range(stages)), margin=100)
    rows = measured(net, cold=True)
    form = "compiled:u8" if packed else "compiled:packed"
    found = {row.name for row in rows}
    assert found >= {"empty", "compiled", form, "session.infer", "slot.run", "session.infer_many"}
    assert all(row.exact for row in rows if row.name != "empty")
    takes = {row.name: row.takes for row in rows}
    assert (takes["compiled"], takes[form]) == (("packed", "u8") if packed else ("u8", "packed"))
    assert {len(row.goes_on) for row in rows} == {stages - 1}
    assert all(0 < share <= 1 for row in rows for share in row.goes_on)
    assert {row.code is not None for row in rows if row.name in ("compiled", form)} == {True}


def test_rows_of_trees() -> None:
    rows = measured(random_forest(1, 6, 4, 10, 3), cold=True)
    found = {row.name for row in rows}
    assert found >= {"empty", "compiled", "session.infer", "slot.run", "session.infer_many", "reference"}
    assert len([name for name in found if name.startswith("compiled:")]) >= 2
    assert ("clang" in found) == (find_clang() is not None)
    assert all(row.exact for row in rows if row.name != "empty")


@pytest.mark.parametrize(("bits", "packed"), [(1, False), (1, True), (8, False)])
def test_rows(bits: int, packed: bool) -> None:
    rows = measured(random_network("conv4x3-pool2-5", 1, (12, 12), bits=bits, packed=packed), cold=True)
    expected = {name for name in OWN if name != "compiled:packed" or (bits < 8 and not packed)}
    assert {row.name for row in rows if ":" not in row.name or row.name == "compiled:packed"} == expected
    assert all(row.exact for row in rows if row.name != "empty")
    assert all(0 < row.ns_min <= row.ns_median for row in rows)
    assert {row.name for row in rows if row.cache == "cold"} >= {"empty", "naive", "compiled"}


def refusing(code: int, *names: str) -> Callable[..., Session]:
    """Opens sessions, but for bodies in C that have one of ``names`` among their maps."""

    def open_session(network: QuantizedNetwork, trigger: RunTrigger, *, body: Body, **sizes: int) -> Session:
        if body.spec.name in names:
            raise VerifierError("too much; use less", code, "log")
        return Session(network, trigger, body=body, **sizes)

    return open_session


def test_a_row_in_c_that_the_verifier_does_not_walk_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((9, 5, 3), 1)
    monkeypatch.setattr(kernel_rows, "Session", refusing(errno.E2BIG, build_twin(net, naive=True).spec.name))
    rows = {row.name for row in measured(net)}
    assert {"twin", "compiled"} <= rows
    assert "naive" not in rows


def test_any_other_refusal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((9, 5, 3), 1)
    for code, refused in ((errno.EACCES, build_twin(net).spec.name), (errno.E2BIG, compile_network(net).spec.name)):
        monkeypatch.setattr(kernel_rows, "Session", refusing(code, refused))
        with pytest.raises(VerifierError, match="too much; use less"):
            measured(net)


def test_a_network_too_large_for_c_has_its_compiled_row() -> None:
    rows = {row.name for row in measured(random_network((784, 160, 10), 1))}
    assert "compiled" in rows
    assert not {"naive", "twin"} & rows


def wrong(body: Body) -> Body:
    """``body`` with one last instruction changed: another label, which is no longer that of the highest score."""
    function = body.spec.functions[INFER]
    code = list(insn.decode_all(function.code))
    last = max(index for index, each in enumerate(code) if each.opcode == 0xA7)  # r ^= imm, of emit_label
    code[last] = code[last]._replace(imm=code[last].imm ^ 1)
    spec = replace(body.spec, functions={INFER: replace(function, code=b"".join(each.encode() for each in code))})
    return Body(spec, body.workspace)


def test_a_body_that_gives_wrong_labels_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def bodies(network: QuantizedNetwork, _left_out: dict[str, str], _plugins: object) -> Any:
        yield "compiled", network, compile_network(network)
        yield "wrong", network, wrong(compile_network(network))

    monkeypatch.setattr(kernel_rows, "_bodies", bodies)
    exact = {row.name: row.exact for row in measured(random_network((16, 5, 4), 1))}
    assert (exact["compiled"], exact["wrong"]) == (True, False)


def test_a_body_that_gives_wrong_scores_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((16, 5, 4), 1)
    last = net.layers[-1]
    other = replace(net, layers=(*net.layers[:-1], replace(last, bias=last.bias + np.int32(1))))

    def bodies(network: QuantizedNetwork, _left_out: dict[str, str], _plugins: object) -> Any:
        yield "compiled", network, compile_network(other)

    monkeypatch.setattr(kernel_rows, "_bodies", bodies)
    assert {row.exact for row in measured(net)} == {False}


def test_the_command_fails_where_a_row_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modelfile.save(random_network((784, 3, 10), 1), tmp_path / "small.safetensors")
    arguments = ["bench", "--model", str(tmp_path / "small.safetensors"), "--images", "16", "--rounds", "1", "--json"]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0
    assert {row["exact"] for row in json.loads(ran.stdout) if row["name"] == "compiled"} == {True}
    bodies: Callable[..., Any] = kernel_rows._bodies
    monkeypatch.setattr(
        kernel_rows,
        "_bodies",
        lambda *given: ((name, form, wrong(body) if name == "compiled" else body) for name, form, body in bodies(*given)),
    )
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 1
    assert {row["exact"] for row in json.loads(ran.stdout) if row["name"] == "compiled"} == {False}


def test_a_cascade_of_different_levels_has_no_row_of_packed_samples() -> None:
    first, second = table_network(1, packed=False), table_network(3, packed=False)
    net = cascade(first, replace(second, input=replace(second.input, thresholds=(77,))))
    left_out: dict[str, str] = {}
    with ExitStack() as held:
        names = {row.name for row in kernel_runners(net, RunTrigger(), 3, 3, held, left_out)}
    assert "compiled" in names
    assert "compiled:packed" not in names
    assert (
        left_out["compiled:packed"] == f"the networks of '{net.name}' see different levels, so that no packed sample serves all"
    )


def test_samples_are_rotated_over_and_each_is_told() -> None:
    net = random_network((9, 5, 3), 1)
    given = samples(9, 1)
    with ExitStack() as held:
        (compiled,) = (row for row in kernel_runners(net, RunTrigger(), len(given), 3, held, {}) if row.name == "compiled")
        compiled.load(given)
        assert compiled.run(len(given) * 3) > 0
        assert compiled.scores(len(given)).tolist() == reference.scores(net, given).tolist()
        with pytest.raises(SessionError, match="failed with status -2"):
            compiled.run(len(given) * 3 + 1)


def test_the_empty_body_does_nothing() -> None:
    net = random_network((9, 5, 3), 1)
    with Session(net, RunTrigger(), body=empty_body(), batch=4) as session:
        runner = KernelRunner("empty", session)
        runner.load(samples(9, 1)[:4])
        runner.run(4)
        assert not runner.scores(4).any()
        assert runner.exact is None


@pytest.mark.usefixtures("tracing")
def test_a_trigger_that_runs_one_sample_an_event_has_no_rows() -> None:
    net = random_network((9, 5, 3), 1)
    with Session(net, TracepointTrigger()) as session, pytest.raises(NotSupported, match="runs one sample per event"):
        KernelRunner("compiled", session)


def test_few_samples_are_repeated_in_a_batch_of_many() -> None:
    net = random_network((9, 5, 3), 1)
    given = samples(9, 1)
    with Session(net, RunTrigger(), batch=40) as session:
        runner = KernelRunner("compiled", session)
        runner.load(given)
        assert runner.run(40) > 0
        expected = reference.scores(net, given)
        assert runner.scores(16).tolist() == expected.tolist()
        assert session.batch is not None
        assert session.batch.scores.tolist() == expected[np.arange(40) % 16].tolist()
        runner.load(given[:3])
        runner.run(2)
        assert runner.scores(3).tolist() == [*expected[:2].tolist(), [0, 0, 0]]


def test_a_batch_of_as_many_samples_as_a_call_runs() -> None:
    """Each is a branch that the verifier keeps in mind, of at most 8,192."""
    net = random_network((9, 5, 3), 1)
    given = np.tile(samples(9, 1), (384, 1))
    with Session(net, RunTrigger(), batch=len(given)) as session:
        runner = KernelRunner("compiled", session)
        runner.load(given)
        runner.run(len(given))
        assert np.array_equal(runner.scores(len(given)), reference.scores(net, given))


def test_what_a_compiled_row_takes() -> None:
    net = random_network((9, 5, 3), 1)
    row = next(row for row in measured(net) if row.name == "compiled")
    compiled = compile_here(net)
    assert row.code is not None
    assert row.code.instructions == sum(len(function.code) for function in compiled.spec.functions.values()) // insn.SIZE
    assert row.code.table_bytes == sum(table.value_size for table in compiled.spec.maps.values())
    assert not row.code.verified or row.code.instructions < row.code.verified < 10 * row.code.instructions
    assert 0 < row.code.load_ms < 60_000
    assert {each.code for each in measured(net) if each.name in ("twin", "session.infer")} == {None}
