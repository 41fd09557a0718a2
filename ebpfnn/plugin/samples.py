"""What a plugin brings that feeds a network: input sources, which read, and kinds of preparation, which make samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..errors import Error
    from ..network.layers import InputFormat
    from ..network.preparation import Preparation
    from ..preparation import Item, Prepared


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample, encoded for a network.

    ``data`` is uint8, C-contiguous, of the network's input shape. ``source`` names where it came from, for people. ``notes``
    tells what was done to it on the way, such as ``inverted (dark on light)``; ``warnings`` what makes it doubtful, such as
    ``blank``.
    """

    data: NDArray[np.uint8]
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class PreparationKind(ABC):
    """A way to make samples of what sources give. A network carries its name and its options (:class:`Preparation`).

    ``name`` is what model files say, and ``summary`` one line for ``ebpfnn plugins``. ``options`` tells what
    ``--prepare KIND:KEY=VALUE`` takes: each key with one line of help.
    """

    name: str
    summary: str = ""
    options: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        """What makes samples of ``form`` of one item, as ``form.preparation.options`` say; without state, so in any order.

        With ``split`` an item that shows several things gives one sample for each, where this kind can tell them apart;
        otherwise every item gives one. What is returned raises :class:`~ebpfnn.errors.InputError`, without a source, for an
        item that it cannot make a sample of. Raises :class:`~ebpfnn.errors.ModelError` where ``form`` or its options do not
        fit this kind.
        """

    def chosen(self, options: Mapping[str, str]) -> dict[str, Any]:
        """The options of a network, as JSON knows them, for what ``--prepare`` was given; only keys of :attr:`options` come.

        Raises :class:`~ebpfnn.errors.PluginError` for a value of the wrong form. The default keeps the text.
        """
        return dict(options)

    def describe(self, preparation: Preparation) -> str:
        """One line for ``ebpfnn inspect``: how samples are made."""
        told = ", ".join(f"{key} {value}" for key, value in preparation.options.items())
        return f"{self.name} ({told})" if told else self.name


class Wanted:
    """What a network says of its input, and how to make samples for it: what a source is given.

    ``form`` is the network's input format, ``kind`` the kind of its preparation, and ``split`` whether an item that shows
    several things may give several samples. Raises :class:`~ebpfnn.errors.ModelError` as :meth:`PreparationKind.bind`.
    """

    def __init__(self, form: InputFormat, kind: PreparationKind, *, split: bool = False) -> None:
        self.form, self.kind, self.split = form, kind, split
        self._prepare = kind.bind(form, split=split)

    def prepare(self, item: Item) -> Sequence[Prepared]:
        """The samples of ``item``: one, unless :attr:`split`. Raises :class:`~ebpfnn.errors.InputError`."""
        return self._prepare(item)

    def one(self, item: Item) -> NDArray[np.uint8]:
        """The sample of ``item`` in a data set, uint8 of the form's shape. Raises as :meth:`prepare`."""
        return self._prepare(item)[0].data

    def samples(self, item: Item, source: str) -> Iterator[Sample | Error]:
        """The samples of ``item``, which came from ``source``, numbered where there are several, or why there is none."""
        from ..errors import InputError

        try:
            made = self._prepare(item)
        except InputError as error:
            yield InputError(f"{source}: {error}")
            return
        notes = getattr(item, "notes", ())
        for number, each in enumerate(made, 1):
            name = f"{source}#{number}" if len(made) > 1 else source
            yield Sample(each.data, name, (*notes, *each.notes), each.warnings)


@dataclass(frozen=True, eq=False)
class Member:
    """A file inside of what a source reads, such as an archive's: ``uri`` names it, and ``stream`` gives its bytes.

    It is read as a file of that name would be, by the source that claims it, before the next one is asked for.
    """

    uri: str
    stream: BinaryIO


class InputSource(ABC):
    """Turns a file or a stream into samples.

    ``name`` is what ``--input`` selects, and ``summary`` one line for ``ebpfnn plugins``. ``preparations`` names the kinds of
    preparation that it is for, where other sources may claim the same files; empty, it is for any.
    """

    name: str
    summary: str = ""
    preparations: tuple[str, ...] = ()

    @abstractmethod
    def accepts(self, uri: str, head: bytes) -> bool:
        """Whether this source reads ``uri`` (a path, or ``-`` for standard input), whose first bytes are ``head``.

        ``head`` is peeked, never consumed: up to 512 bytes, at least 16 where the stream has that many, empty for an empty one.
        Where no source claims the file by fewer than 512, all are asked again.
        """

    @abstractmethod
    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error | Member]:
        """Every sample of ``stream``, in order. What is read goes through ``wanted.samples``, which prepares it as in training.

        A sample that cannot be used is yielded as the :class:`~ebpfnn.errors.InputError` that says why, and the ones after
        it follow; raising ends the stream. A file inside is yielded as a :class:`Member`. ``stream`` can be sought where it is
        a file, and not where it is a pipe.
        """
