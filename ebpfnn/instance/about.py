"""The description that an instance has of itself: one for each of its two networks, in the map ``about``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import abi
from ..bodies import modelfile
from ..errors import ModelError, SessionError, VersionError
from ..events.keyparts import Part, is_type
from ..network import MAX_CLASSES, QuantizedNetwork
from ..network import events as carried
from ..network.fields import (
    Described,
    build_input,
    describe_events,
    describe_input,
    get,
    integer,
    number,
    text,
    texts,
)
from ..network.fields import events as read_events
from ..network.inputformat import InputFormat
from ..network.layers import Shape, expect
from ..network.model import LABEL, RESULTS, Model, unit
from ..network.network import MOST_STAGES
from ..plugin import Plugins
from ..session.loading import pid_namespace
from . import guarded

if TYPE_CHECKING:
    from ..session.observed import Observed

SIZE, MOST = 128 << 10, 4 << 20
"""The size of one description in bytes, JSON padded with zeros: as small as can be, and the largest that every kernel takes."""
_DIGITS = "0123456789abcdef"
_OBSERVING = ("events", "filters", "key")
_OPTIONAL = (*_OBSERVING, "scales", "guard", "declared", "swaps")


@dataclass(frozen=True)
class About:
    """A network in the kernel, and what runs it.

    ``network`` is its name. ``file`` is where it was read from ('' if it was made in memory), and ``digest`` the SHA-256 of
    that file in hexadecimal. ``loaded`` is a time in ISO 8601, UTC. ``namespace`` is the PID namespace that the callers' thread
    ids belong to: st_dev and st_ino of /proc/self/ns/pid. ``holder`` is the process that keeps the attachment, 0 if a pin keeps
    it. ``interface`` is the interface whose removal ends such an attachment, if there is one: st_dev and st_ino of the network
    namespace, and the index in it.

    ``kind`` is the kind of model, and ``result`` what its scores say, one of :data:`ebpfnn.network.model.RESULTS`.

    ``swaps`` is the number of swaps before the network, as its verdicts have it; None in descriptions from before it was told.

    ``scales`` has the ``score_scale`` of each network of a cascade, and is empty for a network that is none.

    ``events`` is what the network carries, with the targets of its events, if the instance observes events itself, else empty.
    ``filters`` are conditions that were given when it was loaded, beside those of the spec. ``key`` has the name and the type
    of each part of a key (:class:`ebpfnn.events.keyparts.Part`). ``guard`` is what :func:`ebpfnn.instance.guarded.describe`
    tells of its guard, empty if it only observes.

    ``declared`` is for instances that `ebpfnn apply` loaded: ``file`` that declares it, and its ``entry`` there, without what
    can change while it is loaded. Else it is empty.
    """

    network: str
    labels: tuple[str, ...]
    input: InputFormat
    architecture: str
    score_scale: float
    file: str
    digest: str
    trigger: str
    target: str | None
    options: Mapping[str, str]
    loaded: str
    namespace: tuple[int, int]
    holder: int
    version: str
    interface: tuple[int, int, int] | None = None
    abi: int = abi.VERSION
    events: Mapping[str, Any] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    key: tuple[tuple[str, str], ...] = ()
    scales: tuple[float, ...] = ()
    guard: Mapping[str, Any] = field(default_factory=dict)
    declared: Mapping[str, Any] = field(default_factory=dict)
    kind: str = QuantizedNetwork.kind
    result: str = LABEL
    swaps: int | None = None

    @property
    def unit(self) -> float | None:
        """As :attr:`ebpfnn.network.model.Model.unit`."""
        return unit(self.result, self.score_scale)

    @property
    def score_scales(self) -> tuple[float, ...]:
        """The logit of a score of 1 of each network, as :attr:`ebpfnn.network.QuantizedNetwork.score_scales`."""
        return self.scales or (self.score_scale,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of a key."""
        return tuple(Part(*each) for each in self.key)

    @property
    def observes(self) -> bool:
        """Whether its samples are rows of its own events, so that it takes none from callers."""
        return bool(self.events)

    @property
    def name(self) -> str:
        """The name of the network, as :class:`~ebpfnn.session.runner.Served` calls it."""
        return self.network

    @property
    def input_shape(self) -> Shape:
        """The shape of a sample."""
        return self.input.shape

    def encode(self, room: int = 0) -> bytes:
        """The description in ``room`` bytes; if that is 0 in ``SIZE``, or where it needs more in the next power of two.

        Raises :class:`ModelError` if it does not fit, or takes more than ``MOST``.
        """
        own = {name: value for name, value in vars(self).items() if name not in _OPTIONAL}
        described = {**own, "input": describe_input(self.input), "options": dict(self.options), **describe_events(self.events)}
        described |= {"filters": self.filters, "key": self.key} if self.events else {}
        described |= {"scales": self.scales} if self.scales else {}
        described |= {"guard": dict(self.guard)} if self.guard else {}
        described |= {"declared": dict(self.declared)} if self.declared else {}
        described |= {"swaps": self.swaps} if self.swaps is not None else {}
        data = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
        remedy = "fewer bits of input, or fewer inputs" if self.input.value_thresholds else "shorter labels"
        if self.input.order:
            remedy = "samples packed in their natural order, or fewer inputs"
        fact = f"network '{self.network}': its description has {len(data)} bytes"
        expect(len(data) < MOST, f"{fact}; use {remedy}")
        expect(len(data) < (room or MOST), f"{fact}, and the instance has room for {room}; unload it, and load it anew")
        return data.ljust(room or max(SIZE, 1 << len(data).bit_length()), b"\0")

    @classmethod
    def decode(cls, data: bytes) -> About:
        """Raises :class:`VersionError` for another ABI version, :class:`SessionError` for data that is not a description."""
        other = foreign(data)
        if other is not None:
            raise other.refusal("the instance")
        try:
            return _build(_parse(data))
        except (ValueError, RecursionError, ModelError) as fault:
            raise _no_description(fault) from None


def describe(
    network: Model,
    file: Path | None,
    trigger: str,
    target: str | None,
    options: Mapping[str, str],
    holder: int = 0,
    observed: Observed | None = None,
    plugins: Plugins | None = None,
) -> About:
    """The description of ``network``, loaded now, which observes events if ``observed`` is given.

    ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`.

    Raises :class:`ModelError` if the name of its file cannot be encoded.
    """
    name = str(file.resolve()) if file else ""
    expect(name.isprintable(), f"{name!r}: a name that is not all printable text; rename the file")
    return About(
        network=network.name,
        labels=network.labels,
        input=network.input,
        architecture=network.architecture,
        score_scale=network.score_scale,
        file=name,
        digest=digest(network, plugins),
        trigger=trigger,
        target=target,
        options=options,
        loaded=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        namespace=pid_namespace(),
        holder=holder,
        version=_version(),
        scales=network.score_scales if len(network.stages) > 1 else (),
        kind=network.kind,
        result=network.result,
        swaps=0,
        **_observing(observed),
    )


def _observing(observed: Observed | None) -> dict[str, Any]:
    if observed is None:
        return {}
    key = tuple((part.name, part.type) for part in observed.key)
    guard = guarded.describe(observed.guard, observed) if observed.guard else {}
    return {"events": observed.events, "filters": observed.filters, "key": key, "guard": guard}


@dataclass(frozen=True)
class Foreign:
    """What is known of an instance of another ABI version, ``abi``. A value that is not text is ''."""

    abi: int
    network: str
    trigger: str
    target: str
    loaded: str
    version: str

    def refusal(self, what: str) -> VersionError:
        """The message for a user who wants to do more with ``what`` than list and unload it."""
        by = f" by ebpfnn {self.version}" if self.version else ""
        fact = f"{what} was loaded{by} with ABI version {self.abi}, and this ebpfnn has {abi.VERSION}"
        remedy = "use that ebpfnn, or unload it (`ebpfnn unload` works across versions) and load it again"
        return VersionError(f"{fact}; {remedy}")


def foreign(data: bytes) -> Foreign | None:
    """None for a description of this ebpfnn's ABI version. Raises :class:`SessionError` if it is not a description.

    In every version a description is one JSON object, padded with zeros, whose ``abi`` is a number.
    """
    try:
        described = _parse(data)
        number = _version_of(described)
    except (ValueError, RecursionError, ModelError) as fault:
        raise _no_description(fault) from None
    if number == abi.VERSION:
        return None
    words = {name: described.get(name) for name in ("network", "trigger", "target", "loaded", "version")}
    return Foreign(number, **{name: word if isinstance(word, str) else "" for name, word in words.items()})


def _parse(data: bytes) -> Described:
    described = json.loads(data.rstrip(b"\0"))
    if not isinstance(described, dict):
        raise ModelError("it is no JSON object")
    return described


def _version_of(described: Described) -> int:
    return integer({"abi": abi.UNNUMBERED, **described}, "abi")


def _no_description(fault: Exception) -> SessionError:
    return SessionError(f"the map 'about' has no valid description ({fault}); unload the instance and load it again")


def digest(network: Model, plugins: Plugins | None = None) -> str:
    """The SHA-256, in hexadecimal, of the file that ``network`` is saved as."""
    from hashlib import sha256  # imported late: it loads OpenSSL, 4 MB that are of no use to a process without instances

    return sha256(modelfile.encode(network, plugins)).hexdigest()


def _build(described: Described) -> About:
    names = ("network", "architecture", "file", "digest", "trigger", "loaded", "version")
    labels, found = texts(described, "labels"), text(described, "digest")
    expect(1 <= len(labels) <= MAX_CLASSES, f"'labels' must be 1 to {MAX_CLASSES}")
    expect(len(found) == 64 and set(found) <= set(_DIGITS), "'digest' must be a SHA-256")
    words: dict[str, Any] = {name: text(described, name) for name in names}
    return About(
        **words,
        labels=labels,
        input=build_input(get(described, "input", dict)),
        score_scale=number(described, "score_scale"),
        target=None if described.get("target", "") is None else text(described, "target"),
        options=_options(get(described, "options", dict)),
        namespace=_namespace(get(described, "namespace", list)),
        holder=integer(described, "holder"),
        interface=_interface(described.get("interface")),
        events=_events(described),
        filters=texts(described, "filters") if "filters" in described else (),
        key=_key(described),
        scales=_scales(described),
        guard=guarded.checked(described),
        declared=_declared(described),
        swaps=integer(described, "swaps") if "swaps" in described else None,
        **_result(described),
    )


def _result(described: Described) -> dict[str, Any]:
    """The kind of model, and what its scores say. Absent in descriptions from before there were several."""
    found = {name: text(described, name) for name in ("kind", "result") if name in described}
    expect(found.get("result", LABEL) in RESULTS, f"'result' must be one of {', '.join(RESULTS)}")
    return found


def _declared(described: Described) -> dict[str, Any]:
    if "declared" not in described:
        return {}
    found: dict[str, Any] = get(described, "declared", dict)
    return {"file": text(found, "file"), "entry": get(found, "entry", dict)}


def _scales(described: Described) -> tuple[float, ...]:
    found: list[Any] = get(described, "scales", list) if "scales" in described else []
    expect(len(found) <= MOST_STAGES, f"'scales' must hold at most {MOST_STAGES} numbers")
    return tuple(number({"scales": each}, "scales") for each in found)


def _key(described: Described) -> tuple[tuple[str, str], ...]:
    found: list[Any] = get(described, "key", list) if "key" in described else []
    pairs = [texts({"key": each}, "key") for each in found]
    expect(all(len(each) == 2 and is_type(each[1]) for each in pairs), "'key' must hold names and types")
    return tuple((name, kind) for name, kind in pairs)


def _events(described: Described) -> dict[str, Any]:
    found = read_events(described)
    carried.check(found)
    return found


def _options(described: Described) -> dict[str, str]:
    return {text({"options": key}, "options"): text(described, key) for key in described}


def _namespace(numbers: list[object]) -> tuple[int, int]:
    device, inode = numbers if len(numbers) == 2 else (None, None)
    if not isinstance(device, int) or not isinstance(inode, int):
        raise ModelError("'namespace' must hold two integers")
    return device, inode


def _interface(numbers: object) -> tuple[int, int, int] | None:
    match numbers:
        case None:
            return None
        case [int(device), int(inode), int(index)]:
            return device, inode, index
    raise ModelError("'interface' must hold three integers")


def _version() -> str:
    try:
        return version("ebpfnn")
    except PackageNotFoundError:
        return "not installed"
    except OSError:
        return "not known"
