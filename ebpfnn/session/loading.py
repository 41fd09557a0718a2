"""Links a network and a trigger's shell, and loads them as one object."""

from __future__ import annotations

import errno
import logging
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType

from .. import abi
from ..bodies import BUILT_IN
from ..compiler import Body, Compiled
from ..errors import NotSupported, PermissionDenied, PluginError, VerifierError
from ..kernel import Map, Object
from ..kernel.privilege import lack
from ..kernel.system_files import unreadable
from ..network import QuantizedNetwork
from ..network.inputformat import InputFormat
from ..network.model import Model
from ..obj import MapType, ObjectSpec, link
from ..plugin import Trigger
from ..remote.protocol import network_id

_LOG = logging.getLogger(__name__)
_BATCH_BYTES, _LARGEST_BATCH = 1 << 18, 256
_LARGEST_OF_A_CPU = 32 << 10  # PCPU_MIN_UNIT_SIZE (include/linux/percpu.h, Linux 6.18)


def default_batch(form: InputFormat) -> int:
    """The number of samples in a batch: large enough to amortize the system call, small enough to fit in a cache."""
    return min(max(_BATCH_BYTES // form.sample_bytes, 1), _LARGEST_BATCH)


def load(
    network: Model,
    trigger: Trigger,
    body: Body,
    target: str | None = None,
    *,
    batch: int = 1,
    repeats: int = 1,
    room: int = 0,
    swaps: int = 0,
    maps: Mapping[str, Map] = MappingProxyType({}),
) -> Object:
    """The trigger's shell with ``body``, loaded. One event may run the network ``repeats`` times on ``batch`` samples.

    ``room`` is the minimum size of a result's workspace in bytes. ``swaps`` is the number of swaps before, which events report.
    ``maps`` replace the shell's maps of the same names; names that the shell does not have are ignored.

    Raises :class:`PluginError` for a shell of another ABI version, :class:`NotSupported` for a network that the trigger
    refuses, and what :meth:`Object.load` raises. If the verifier refuses, the message has a remedy.
    """
    reason = trigger.refuses(network.input, len(network.labels))
    if reason:
        raise NotSupported(f"network '{network.name}' behind trigger '{trigger.name}': {reason}")
    shell = _shell(network, trigger, max(body.workspace, room), batch, repeats)
    trigger.prepare(shell, target)
    _set_if_there(shell, {abi.NETWORK: swaps & 0xFFFFFFFF})
    return load_linked(network, trigger, link(shell, body.spec), is_compiled(network, body), maps)


def load_linked(
    network: Model,
    trigger: Trigger,
    spec: ObjectSpec,
    compiled: bool,
    maps: Mapping[str, Map] = MappingProxyType({}),
) -> Object:
    """Loads ``spec``, the shell of ``trigger`` with the code of ``network``, whose body was ``compiled`` or is another.

    ``maps`` replace those of the same names, if there are any. Raises what :meth:`Object.load` raises. If the verifier refuses,
    the message has a remedy.
    """
    try:
        begun = time.perf_counter()
        loaded = Object.load(spec, maps={name: maps[name] for name in maps.keys() & spec.maps})
        _tell(loaded, trigger, network, 1000 * (time.perf_counter() - begun))
        return loaded
    except PermissionDenied as refusal:
        without = lack(needed=("CAP_BPF", *trigger.capabilities))
        if not without:
            raise
        raise PermissionDenied(f"{str(refusal).partition('; ')[0]}; {without}", refusal.errno) from None
    except VerifierError as refusal:
        without = lack()
        if without:
            fact = f"network '{network.name}': the verifier requires CAP_PERFMON for its pointer arithmetic"
            raise PermissionDenied(f"{fact}; {without}", errno.EPERM) from refusal
        if refusal.errno == errno.E2BIG:
            fact = f"network '{network.name}' ({network.architecture}) exceeds the verifier's instruction limit"
            remedy = "use narrower layers, or fewer inputs" if isinstance(network, QuantizedNetwork) else "use a smaller model"
            raise VerifierError(f"{fact}; {remedy}", refusal.errno, refusal.log) from refusal
        if compiled:
            raise _bug(network, refusal) from refusal
        raise


def is_compiled(network: Model, body: Body) -> bool:
    """Whether ``body`` was compiled for ``network``, and is not C."""
    return isinstance(body, Compiled) or not isinstance(network, QuantizedNetwork)


def _tell(loaded: Object, trigger: Trigger, network: Model, elapsed_ms: float) -> None:
    """The verifier walks the shell together with the network, so the same network has another count with another trigger."""
    if _LOG.isEnabledFor(logging.INFO):
        for name, program in loaded.programs.items():
            what = f"program '{name}' (trigger '{trigger.name}' with network '{network.name}')"
            verified = f"{program.info().verified_insns:,}" if program.info().verified_insns else "unknown"
            _LOG.info("%s loaded in %.0f ms; verified instructions: %s", what, elapsed_ms, verified)


def pid_namespace() -> tuple[int, int]:
    """The PID namespace of this process, in which its thread ids are valid: st_dev and st_ino.

    Raises :class:`~ebpfnn.errors.KernelError` if /proc cannot be read.
    """
    place = Path("/proc/self/ns/pid")
    try:
        found = place.stat()
    except OSError as fault:
        raise unreadable(place, fault, "thread IDs cannot be determined") from None
    return found.st_dev, found.st_ino


def _bug(network: Model, refusal: VerifierError) -> VerifierError:
    kept = _keep(refusal.log)
    whose = "in ebpfnn" if network.kind in BUILT_IN else f"in the plugin of the kind of models '{network.kind}'"
    twin = ", and use --twin until it is fixed" if isinstance(network, QuantizedNetwork) else ""
    fact = f"network '{network.name}': the kernel refused the compiled code, which is a bug {whose} ({refusal})"
    remedy = f"report it with the verifier's whole log, {kept}{twin}"
    return VerifierError(f"{fact}; {remedy}", refusal.errno, refusal.log)


def _keep(log: str) -> str:
    """Writes the log to a file and returns where it is. A full disk must not hide the error that the log is about."""
    try:
        kept = Path(mkdtemp(prefix="ebpfnn-")) / "verifier.log"
        kept.write_text(log)
    except OSError as fault:
        return f"which could not be kept ({fault.strerror})"
    return f"which is in {kept}"


def _shell(network: Model, trigger: Trigger, workspace: int, batch: int, repeats: int) -> ObjectSpec:
    """The trigger's shell, its memory sized for the network."""
    shell = ObjectSpec.from_file(trigger.object_path())
    check_abi(shell, f"trigger '{trigger.name}': {trigger.object_path()}")
    shell.keep_programs(trigger.program())
    shell.resize_map(abi.SAMPLES, value_size=abi.padded(network.input.sample_bytes))
    result_bytes = abi.padded(abi.RESULT.itemsize + workspace)
    if shell.maps[abi.RESULTS].type == MapType.PERCPU_ARRAY and result_bytes > _LARGEST_OF_A_CPU:
        fact = f"it needs {result_bytes} bytes; a per-CPU value holds {_LARGEST_OF_A_CPU}"
        raise NotSupported(
            f"network '{network.name}' behind trigger '{trigger.name}': {fact}; use smaller layers, or trigger run"
        )
    shell.resize_map(abi.RESULTS, value_size=result_bytes)
    classes = len(network.labels)
    _set_if_there(shell, {abi.CLASSES: classes, abi.SAMPLE_BYTES: network.input.sample_bytes})
    _set_if_there(shell, {abi.RESULT_KIND: abi.RESULT_KINDS[network.result]})
    _set_if_there(shell, {abi.NETWORK_ID: network_id(network.name)})
    if abi.OUTPUTS in shell.maps:
        shell.resize_map(abi.SAMPLES, max_entries=shell.maps[abi.SAMPLES].max_entries + batch)
        shell.resize_map(abi.OUTPUTS, value_size=abi.padded(abi.output(classes).itemsize), max_entries=batch)
        _set_if_there(shell, {abi.BATCH: batch, abi.MOST_RUNS: batch * repeats})
    if abi.PIDNS_DEV in shell.variables:  # task.h's
        _set_if_there(shell, dict(zip((abi.PIDNS_DEV, abi.PIDNS_INO), pid_namespace(), strict=True)), "<Q")
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    return shell


def check_abi(shell: ObjectSpec, what: str) -> None:
    """Raises :class:`PluginError`, naming ``what``, for an object of another ABI version: its content cannot be interpreted."""
    place = shell.variables.get(abi.VARIABLE)
    contents = shell.maps[place.map].contents if place else None
    number = int.from_bytes(contents[place.offset :][: place.size], "little") if place and contents else None
    if number == abi.VERSION:
        return
    built = f"was built for ABI version {number}" if number is not None else "carries no ABI version"
    remedy = "rebuild it against the headers of this version: clang -I$(ebpfnn include-dir)"
    raise PluginError(f"{what} {built}, and this ebpfnn has {abi.VERSION}; {remedy}")


def _set_if_there(shell: ObjectSpec, values: Mapping[str, int], form: str = "<I") -> None:
    """Sets the variable of the shell that has one of these names, if there is one, packed as ``form`` says."""
    for name, value in values.items():
        if name in shell.variables:
            shell.set_variable(name, struct.pack(form, value))
