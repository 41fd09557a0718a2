"""Many samples an event, one event a sample in place, and what a session runs by default."""

from __future__ import annotations

import errno
import re
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import random_network, samples
from numpy.typing import NDArray

from ebpfnn.abi import INFER
from ebpfnn.compiler import Compiled, KernelFeatures, build_twin, compile_network
from ebpfnn.errors import InputError, KernelError, ModelError, NotSupported, PermissionDenied, SessionError, VerifierError
from ebpfnn.kernel import features
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.obj import ProgramType
from ebpfnn.obj.asm import R0, R1, Assembler
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session, compiling
from ebpfnn.session.compiling import compile_here

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)


@pytest.fixture
def session(trigger: Trigger) -> Iterator[Session]:
    with Session(SMALL, trigger) as opened:
        yield opened


def agree_on_many(session: Session, given: NDArray[np.uint8]) -> None:
    """Scores and labels of all samples, inferred together, are the reference's."""
    results, expected = session.infer_many(given), reference.scores(session.network, given)
    assert results.scores.tolist() == expected.tolist()
    assert results.labels.tolist() == expected.argmax(axis=1).tolist()
    assert results.elapsed_ns > 0


def many(network: QuantizedNetwork, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, *network.input_shape), dtype=np.uint8)


def test_many_are_what_each_is(session: Session) -> None:
    given = samples(9, 1)
    agree_on_many(session, given)
    agree(session, given)
    agree_on_many(session, given[:1])
    agree_on_many(session, given[::-2])


def test_more_than_a_batch(session: Session) -> None:
    agree_on_many(session, many(SMALL, 600))


def test_a_batch_of_one(trigger: Trigger) -> None:
    with Session(SMALL, trigger, batch=1) as session:
        agree_on_many(session, many(SMALL, 5))


def test_none(session: Session) -> None:
    results = session.infer_many(many(SMALL, 0))
    assert (results.scores.shape, results.labels.shape, results.elapsed_ns) == ((0, 3), (0,), 0)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_inputs_of_few_bits(trigger: Trigger, bits: int, packed: bool) -> None:
    net = random_network((13, 5, 3), 1, bits=bits, packed=packed)
    with Session(net, trigger) as session:
        agree_on_many(session, many(net, 300))
        agree(session, samples(13, 1))


def test_images(trigger: Trigger) -> None:
    net = random_network("conv3x3s2p1-pool2-5", 1, (9, 9))
    with Session(net, trigger, batch=7) as session:
        agree_on_many(session, many(net, 20))


def test_samples_that_do_not_fit(session: Session) -> None:
    wanted = r"; network 'test' takes a numpy array, uint8 \[n, 9\]"
    for wrong in (np.zeros((2, 8), np.uint8), np.zeros(9, np.uint8), np.zeros((2, 9)), np.zeros((1, 2, 9), np.uint8)):
        with pytest.raises(InputError, match=r"a sample of .*" + wanted):
            session.infer_many(wrong)
    with pytest.raises(InputError, match="a sample of type list" + wanted):
        session.infer_many([[0] * 9])  # type: ignore[arg-type]


def test_threads_infer_many_at_the_same_time(session: Session) -> None:
    together = threading.Barrier(6)

    def work(seed: int) -> None:
        together.wait()
        for _ in range(5):
            agree_on_many(session, samples(9, seed))
            agree(session, samples(9, seed + 1)[:2])

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, seed) for seed in range(6)]:
            done.result()


def test_a_closed_session_infers_nothing(session: Session) -> None:
    slot = session.slot()
    slot.run()
    session.close()
    for call in (slot.run, session.slot, lambda: session.infer_many(samples(9, 1)), lambda: session.batch):
        with pytest.raises(SessionError, match="the session of 'test' is closed; open another"):
            call()


@pytest.mark.parametrize(("bits", "packed"), [(8, False), (1, False), (1, True)])
def test_a_slot_is_read_and_written_in_place(trigger: Trigger, bits: int, packed: bool) -> None:
    net = random_network("conv2x3-3", 1, (5, 4), bits=bits, packed=packed)
    given = samples((5, 4), 1)
    with Session(net, trigger) as session:
        slot = session.slot()
        assert slot is session.slot()
        assert slot.sample.shape == ((3,) if packed else (5, 4))
        scores = slot.scores
        for sample, expected in zip(given, reference.scores(net, given), strict=True):
            slot.sample[...] = encoding.encode(net.input, sample) if packed else sample
            slot.run()
            assert (scores.tolist(), slot.label) == (expected.tolist(), int(expected.argmax()))
            assert slot.elapsed_ns > 0
            slot.memory[:] = bytes(len(slot.memory))
            assert not slot.sample.any()


def test_a_run_leaves_nothing_behind() -> None:
    """Millions of runs must not grow the process."""
    with Session(SMALL, RunTrigger()) as session:
        slot, sample = session.slot(), samples(9, 1)[0]
        for run in (slot.run, lambda: session.infer(sample)):
            run()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(1000):
                run()
            left = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert left < 1000


def test_threads_that_come_and_go_leave_nothing_behind() -> None:
    with Session(SMALL, RunTrigger()) as session:
        for _ in range(3):
            thread = threading.Thread(target=session.infer, args=(samples(9, 1)[0],))
            thread.start()
            thread.join()
        assert len(session.slot()._attachment._prepared) == 1  # type: ignore[attr-defined]


def test_a_session_compiles_by_default(session: Session) -> None:
    assert isinstance(session.body, Compiled)


def test_the_twin_runs_where_it_is_given(trigger: Trigger) -> None:
    body = build_twin(SMALL)
    with Session(SMALL, trigger, body=body) as session:
        assert session.body is body
        agree_on_many(session, samples(9, 1))


def test_what_the_compiler_does_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> None:
        raise ModelError("network 'test': layer 0 is too much; use less")

    monkeypatch.setattr("ebpfnn.bodies.networks.compile_network", refuse)
    with pytest.raises(ModelError, match="layer 0 is too much; use less"):
        Session(SMALL, RunTrigger())


def test_what_the_verifier_refuses_of_compiled_code_is_our_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = Assembler()
    code.load(R0, "u64", R1, 1 << 14)
    code.exit()
    compiled = compile_network(SMALL)
    function = replace(compiled.spec.functions[INFER], code=code.function(INFER).code, relocations=(), lines=())
    broken = replace(compiled, spec=replace(compiled.spec, functions={INFER: function}))
    with pytest.raises(VerifierError) as caught:
        Session(SMALL, RunTrigger(), body=broken)
    told = re.fullmatch(
        r"network 'test': the kernel refused the compiled code, which is a bug in ebpfnn \(program 'ebpfnn_run': .*\); "
        r"report it with the verifier's whole log, which is in (\S+), and use --twin until it is fixed",
        str(caught.value),
    )
    assert told
    kept = Path(told[1])
    assert kept.read_text() == caught.value.log != ""
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.slow
def test_the_twin_past_the_verifier_keeps_its_words() -> None:
    net = random_network("conv4x3-pool2-conv7x3-pool2-10", 1, (28, 28))
    with pytest.raises(VerifierError, match=r"exceeds the verifier's instruction limit; use narrower layers, or fewer inputs"):
        Session(net, RunTrigger(), body=build_twin(net, naive=True))


def test_a_kernel_without_iterators_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network((20, 100, 3), 1)
    assert compile_network(net, KernelFeatures()).spec.kernel_symbols

    def lacking() -> None:
        raise NotSupported("no types")

    monkeypatch.setattr(compiling, "vmlinux", lacking)
    for callbacks in (True, False):
        monkeypatch.setattr(compiling, "has_callback_loops", lambda has=callbacks: has)
        without = compile_here(net)
        assert not without.spec.kernel_symbols
        assert (len(without.spec.functions) > 1) == callbacks
        with Session(net, RunTrigger(), body=without) as session:
            agree_on_many(session, samples(20, 1))


def test_what_an_old_kernel_lacks_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[KernelFeatures] = []

    def note(network: QuantizedNetwork, found: KernelFeatures, plan: str | None) -> Compiled:
        asked.append(found)
        return compile_network(network, found, plan)

    monkeypatch.setattr("ebpfnn.bodies.networks.compile_network", note)
    monkeypatch.setattr(compiling, "has_sign_extension", lambda: False)
    compile_here(SMALL)
    assert [found.sign_extension for found in asked] == [False]
    monkeypatch.setattr(compiling, "KMALLOC_LARGEST", 8)
    monkeypatch.setattr(compiling, "has_large_values", lambda: False)
    compile_here(SMALL)
    assert [found.large_values for found in asked] == [True, True, False]


def test_probes() -> None:
    assert features.has_sign_extension() in (True, False)
    assert features.has_large_values() in (True, False)
    assert features.has_callback_loops() in (True, False)


def test_whether_a_refusal_means_that_a_helper_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(refusal: KernelError) -> Callable[..., bool]:
        def loads(type: ProgramType, code: bytes) -> bool:  # noqa: A002
            raise refusal

        return loads

    probe = features.has_callback_loops.__wrapped__
    monkeypatch.setattr(features, "_loads", refusing(PermissionDenied("no", errno.EACCES)))
    assert probe()
    monkeypatch.setattr(features, "_loads", refusing(PermissionDenied("no", errno.EPERM)))
    with pytest.raises(PermissionDenied):
        probe()
    monkeypatch.setattr(features, "_loads", lambda *given: False)
    assert not probe()


def test_a_prepared_run_tells_why_it_was_refused() -> None:
    with Session(SMALL, RunTrigger()) as session:
        (program,) = session.loaded.programs.values()
        prepared, slot = program.prepare_run(context=bytes(8)), session.slot()
        sequence = slot._words[0]
        for run in (prepared.run, prepared.run_quickly):
            run()
            sequence += 1
            assert slot._words[0] == sequence
        prepared.stop()
        prepared.run_quickly()
        assert slot._words[0] == sequence
        with pytest.raises(KernelError, match="BPF_PROG_RUN refused with EBADF"):
            prepared.run()
