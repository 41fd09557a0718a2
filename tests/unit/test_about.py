"""What an instance says of itself, and what is refused of what others may have written there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from networks import own_format, random_network
from tablenets import cascade, table_network

from ebpfnn.errors import ModelError, SessionError, VersionError
from ebpfnn.instance import About, Foreign
from ebpfnn.instance.about import SIZE, describe, digest, foreign
from ebpfnn.network.inputformat import MOST_OWN, InputFormat
from ebpfnn.network.preparation import MOST_BYTES, Preparation

SMALL = random_network((9, 5, 3), seed=1)
ABOUT = describe(SMALL, Path("/nets/ä.safetensors"), "tracepoint", "a:b", {"key": "value"})


@pytest.mark.parametrize(
    "about",
    [
        ABOUT,
        replace(ABOUT, target=None, options={}, file="", holder=7),
        replace(ABOUT, input=InputFormat((9,), 1, (100,), packed=True, bit_order="little")),
        replace(ABOUT, input=own_format(200, 4, 1)),
        replace(ABOUT, input=table_network(1, (28, 28)).input),
        describe(cascade(table_network(1), table_network(3, score_scale=0.25)), None, "run", None, {}),
    ],
)
def test_what_is_written_is_read(about: About) -> None:
    data = about.encode()
    assert len(data) == SIZE
    assert About.decode(data) == about


def test_it_is_what_the_network_is() -> None:
    assert (ABOUT.name, ABOUT.input_shape, ABOUT.architecture) == ("test", (9,), "9-5-3")
    assert ABOUT.digest == digest(SMALL)
    assert ABOUT.digest != digest(random_network((9, 5, 3), seed=2))


def test_units_of_a_cascade() -> None:
    made = cascade(table_network(1, score_scale=0.5), table_network(3, score_scale=0.25))
    about = describe(made, None, "run", None, {})
    assert About.decode(about.encode()).score_scales == (0.5, 0.25)
    assert ABOUT.score_scales == (ABOUT.score_scale,)


def test_what_former_versions_wrote_has_no_order_and_no_units() -> None:
    described = json.loads(ABOUT.encode().rstrip(b"\0"))
    assert not {"scales"} & set(described)
    assert "order" not in described["input"]


def test_an_order_that_does_not_fit_is_refused() -> None:
    form = InputFormat((700_000,), 1, (128,), packed=True, order=tuple(range(700_000)))
    with pytest.raises(
        ModelError, match=r"description has [0-9]+ bytes; use samples packed in their natural order, or fewer inputs"
    ):
        replace(ABOUT, input=form).encode()


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match=r"network 'test': its description has [0-9]+ bytes; use shorter labels"):
        replace(ABOUT, labels=("x" * 1_600_000,) * 3).encode()


def test_the_most_thresholds_fit() -> None:
    about = replace(ABOUT, input=own_format(MOST_OWN, 4, 1))
    assert About.decode(about.encode()).input == about.input


def test_the_longest_preparation_fits() -> None:
    preparation = Preparation("columns", {"x": "y" * (MOST_BYTES - 20)})
    about = replace(ABOUT, input=replace(ABOUT.input, prepared=preparation))
    assert About.decode(about.encode()).input.preparation == preparation
    with pytest.raises(ModelError, match=r"description has [0-9]+ bytes, and the instance has room for 131072; unload it"):
        about.encode(SIZE)


def test_a_description_takes_the_room_that_it_is_given() -> None:
    assert len(ABOUT.encode(2 * SIZE)) == 2 * SIZE
    wide = replace(ABOUT, options={"x": "y" * SIZE})
    assert len(wide.encode()) == 2 * SIZE
    assert About.decode(wide.encode()) == wide


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * SIZE, b"[]", b"[" * SIZE, b'{"network": ', b"\xff\xfe", b"NaN", b'"text"', b'{"abi": 2}'],
    ids=["empty", "zeros", "list", "nested", "cut", "no text", "NaN", "text", "object"],
)
def test_what_is_no_description_is_refused(data: bytes) -> None:
    with pytest.raises(SessionError, match="the map 'about' has no valid description"):
        About.decode(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", 3),
        ("network", "a\x1b[31m"),
        ("labels", []),
        ("labels", ["x"] * 65),
        ("labels", "abc"),
        ("input", {"shape": [9]}),
        ("input", None),
        ("score_scale", "1"),
        ("score_scale", True),
        ("scales", [0.5, "1"]),
        ("scales", [1.0] * 5),
        ("scales", 1.0),
        ("digest", "z" * 64),
        ("digest", "ab"),
        ("target", 5),
        ("options", {"key": 1}),
        ("options", []),
        ("namespace", [1]),
        ("namespace", ["a", "b"]),
        ("namespace", [1, 2, 3]),
        ("holder", 1 << 40),
        ("holder", "1"),
        ("abi", "2"),
        ("abi", None),
        ("abi", 2.0),
        ("abi", 1 << 40),
    ],
)
def test_what_is_wrong_in_a_description_is_refused(key: str, value: Any) -> None:
    described = {**json.loads(ABOUT.encode().rstrip(b"\0")), key: value}
    with pytest.raises(SessionError, match="has no valid description"):
        About.decode(json.dumps(described).encode())


@pytest.mark.parametrize("number", [1, 3, 1 << 30])
def test_another_abi_version_is_told_whatever_else_is_there(number: int) -> None:
    described = {"abi": number, "network": "late", "labels": 7, "target": None, "new": [{}], "version": "9.0"}
    assert foreign(json.dumps(described).encode()) == Foreign(number, "late", "", "", "", "9.0")
    told = f"^the instance was loaded by ebpfnn 9.0 with ABI version {number}, and this ebpfnn has 2; use that"
    with pytest.raises(VersionError, match=told):
        About.decode(json.dumps(described).encode())


def test_one_without_a_number_is_from_before_there_was_one() -> None:
    described = json.loads(ABOUT.encode().rstrip(b"\0"))
    assert described.pop("abi") == 2
    found = foreign(json.dumps(described).encode())
    assert found is not None
    assert (found.abi, found.network) == (1, "test")
    assert foreign(ABOUT.encode()) is None


def test_fields_that_are_not_known_are_passed_over() -> None:
    described = {**json.loads(ABOUT.encode().rstrip(b"\0")), "new": [{}]}
    assert About.decode(json.dumps(described).encode()) == ABOUT
