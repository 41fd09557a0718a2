"""A network and a trigger's shell become one object in the kernel."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from tempfile import mkdtemp

from . import abi
from .compiler import Body, Compiled
from .errors import VerifierError
from .kernel import Object
from .layers import InputFormat
from .network import QuantizedNetwork
from .obj import ObjectSpec, link
from .plugin import Trigger

_BATCH_BYTES, _LARGEST_BATCH = 1 << 18, 256


def default_batch(form: InputFormat) -> int:
    """Samples in a batch: so many that a system call costs each little, and that all of them stay in a cache."""
    return min(max(_BATCH_BYTES // form.sample_bytes, 1), _LARGEST_BATCH)


def load(network: QuantizedNetwork, trigger: Trigger, body: Body, batch: int, repeats: int = 1) -> Object:
    """The trigger's shell with ``body`` in it, loaded; one event may run the network ``repeats`` times on ``batch`` samples.

    Raises what :meth:`Object.load` raises; of a refusal by the verifier it tells what can be done.
    """
    try:
        return Object.load(_link(network, trigger, body, batch, repeats))
    except VerifierError as refusal:
        if refusal.errno == errno.E2BIG:
            fact = f"network '{network.name}' ({network.architecture}) is more than this kernel's verifier walks"
            raise VerifierError(f"{fact}; use narrower layers, or fewer inputs", refusal.errno, refusal.log) from refusal
        if isinstance(body, Compiled):
            raise _our_bug(network, refusal) from refusal
        raise


def _our_bug(network: QuantizedNetwork, refusal: VerifierError) -> VerifierError:
    kept = Path(mkdtemp(prefix="ebpfnn-")) / "verifier.log"
    kept.write_text(refusal.log)
    fact = f"network '{network.name}': the kernel refused what ebpfnn compiled, which is a bug of ebpfnn's ({refusal})"
    remedy = f"report it with the verifier's whole log, which is in {kept}, and use --twin until it is mended"
    return VerifierError(f"{fact}; {remedy}", refusal.errno, refusal.log)


def _link(network: QuantizedNetwork, trigger: Trigger, body: Body, batch: int, repeats: int) -> ObjectSpec:
    """The trigger's shell with the network in it, its slots sized for the network."""
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    shell.resize_map(abi.SAMPLES, value_size=abi.padded(network.input.sample_bytes))
    shell.resize_map(abi.RESULTS, value_size=abi.padded(abi.RESULT.itemsize + body.workspace))
    if abi.OUTPUTS in shell.maps:
        _make_room(shell, len(network.labels), batch, repeats)
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    return link(shell, body.spec)


def _make_room(shell: ObjectSpec, classes: int, batch: int, repeats: int) -> None:
    """For a batch: its samples behind those of the slots."""
    shell.resize_map(abi.SAMPLES, max_entries=shell.maps[abi.SAMPLES].max_entries + batch)
    shell.resize_map(abi.OUTPUTS, value_size=abi.padded(abi.output(classes).itemsize), max_entries=batch)
    for name, value in ((abi.BATCH, batch), (abi.MOST_RUNS, batch * repeats), (abi.CLASSES, classes)):
        shell.set_variable(name, struct.pack("<I", value))
