"""The parts of plugins that provide samples: input sources, which read, and kinds of preparation, which make samples."""

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
    from ..network.inputformat import InputFormat
    from ..network.preparation import Preparation
    from ..preparation import Encoder, Item, Prepared


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample, encoded for a network.

    ``data`` is uint8, C-contiguous, of the network's input shape. ``source`` names its origin, for messages. ``notes`` says how
    it was converted, such as ``inverted (dark on light)``; ``warnings`` says why it is doubtful, such as ``blank``.
    """

    data: NDArray[np.uint8]
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class PreparationKind(ABC):
    """A way to make samples of items from sources. A network stores its name and its options (:class:`Preparation`).

    ``name`` is the name in model files, and ``summary`` one line for ``ebpfnn plugins``. ``options`` describes ``--prepare
    KIND:KEY=VALUE``: each key with one line of help.
    """

    name: str
    summary: str = ""
    options: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        """A function that makes samples of ``form`` from one item, with ``form.preparation.options``. It has no state.

        Items may therefore come in any order. With ``split`` an item that shows several things gives one sample for each, if
        this kind can separate them; otherwise every item gives one. The function raises :class:`~ebpfnn.errors.InputError`,
        without a source, for an item that it cannot make a sample of. Raises :class:`~ebpfnn.errors.ModelError` if ``form`` or
        its options do not fit this kind.
        """

    def with_encoders(self, encoders: Mapping[str, Encoder]) -> PreparationKind:
        """This kind with the installed ``encoders``, by name. The default uses none."""
        del encoders
        return self

    def chosen(self, options: Mapping[str, str]) -> dict[str, Any]:
        """The options of a network, as JSON values, from the text of ``--prepare``. Only keys of :attr:`options` are passed.

        Raises :class:`~ebpfnn.errors.PluginError` for a value of the wrong form. The default keeps the text.
        """
        return dict(options)

    def describe(self, preparation: Preparation) -> str:
        """One line for ``ebpfnn inspect``: how samples are made."""
        told = ", ".join(f"{key} {value}" for key, value in preparation.options.items())
        return f"{self.name} ({told})" if told else self.name


class Wanted:
    """The input that a network takes, and how to make samples for it. It is passed to input sources.

    ``form`` is the network's input format, ``kind`` the kind of its preparation, and ``split`` whether an item that shows
    several things may give several samples. Raises :class:`~ebpfnn.errors.ModelError` as :meth:`PreparationKind.bind`.
    """

    def __init__(self, form: InputFormat, kind: PreparationKind, *, split: bool = False) -> None:
        self.form, self.kind, self.split = form, kind, split
        self._prepare = kind.bind(form, split=split)

    def prepare(self, item: Item) -> Sequence[Prepared]:
        """The samples of ``item``: one, unless ``split`` is set. Raises :class:`~ebpfnn.errors.InputError`."""
        return self._prepare(item)

    def one(self, item: Item) -> NDArray[np.uint8]:
        """The sample of ``item`` in a data set, uint8 of the shape of ``form``. Raises as :meth:`prepare`."""
        return self._prepare(item)[0].data

    def samples(self, item: Item, source: str) -> Iterator[Sample | Error]:
        """The samples of ``item`` from ``source``, numbered if there are several, or the error."""
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
    """A file inside a file that a source reads, such as an archive: ``uri`` names it, and ``stream`` has its bytes.

    It is read like a file of that name, by the source that claims it, before the next one is requested.
    """

    uri: str
    stream: BinaryIO


class InputSource(ABC):
    """Turns a file or a stream into samples.

    ``name`` is what ``--input`` selects, and ``summary`` one line for ``ebpfnn plugins``. ``preparations`` names the kinds of
    preparation that it is for, if other sources may claim the same files. If empty, it is for any kind.
    """

    name: str
    summary: str = ""
    preparations: tuple[str, ...] = ()

    @abstractmethod
    def accepts(self, uri: str, head: bytes) -> bool:
        """Whether this source reads ``uri`` (a path, or ``-`` for standard input), whose first bytes are ``head``.

        ``head`` is peeked, not consumed: up to 512 bytes, at least 16 if the stream has that many, empty for an empty stream.
        If no source claims the file with fewer than 512 bytes, all are asked again.
        """

    @abstractmethod
    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error | Member]:
        """Every sample of ``stream``, in order. Pass items to ``wanted.samples``, which prepares them as in training.

        A sample that cannot be used is yielded as an :class:`~ebpfnn.errors.InputError` with the reason, and the ones after it
        follow. An exception ends the stream. A file inside is yielded as a :class:`Member`. ``stream`` is seekable if it is a
        file, and not if it is a pipe.
        """
