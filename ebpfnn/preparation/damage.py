"""Converts the exceptions that Pillow raises for damaged images to this package's errors."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from ..errors import InputError
from .formats import NAMES

FAILURES = (
    OSError,  # truncated, unidentified, or refused by a codec's library
    SyntaxError,  # a broken PNG, JPEG or TIFF header
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""The exceptions of Pillow's decoders for hostile data, from tests and from its issues. They have no common base class."""


@contextmanager
def decoding(source: str) -> Iterator[None]:
    """Converts exceptions of decoders to one :class:`InputError` that names ``source``."""
    try:
        yield
    except UnidentifiedImageError:
        raise InputError(f"{source}: not an image of a known format; give a {NAMES} file") from None
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except MemoryError as error:
        raise InputError(f"{source}: takes more memory than there is; scale it down") from error
    except FAILURES as error:
        fact = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{source}: cannot be decoded ({fact}); give a whole {NAMES} file") from error
