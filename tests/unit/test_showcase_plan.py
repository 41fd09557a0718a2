"""The plans of the showcase of flows: what is run is a function of the seed, bounded, and for its own services alone."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
addresses, evaluating, plan, server = map(import_module, ("addresses", "evaluating", "plan", "server"))

QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03abc\x07example\x00"


def test_the_same_seed_gives_the_same_sessions() -> None:
    assert plan.plan(3, 2, 1) == plan.plan(3, 2, 1)
    assert plan.plan(3, 2, 1) != plan.plan(4, 2, 1)


def test_so_many_sessions_of_each_tool_have_groups_of_their_own() -> None:
    sessions = plan.plan(1, 3, 2)
    assert len({session.group for session in sessions}) == len(sessions)
    for tool in plan.TOOLS:
        own = [session for session in sessions if session.tool == tool.name]
        assert len(own) == (3 if tool.label == plan.BENIGN else 2)
        assert {session.label for session in own} == {tool.label}


def test_a_session_does_not_change_with_how_many_others_there_are() -> None:
    few = {session.group: session for session in plan.plan(1, 1, 1)}
    many = {session.group: session for session in plan.plan(1, 5, 5)}
    assert all(many[group] == session for group, session in few.items())


def test_every_kind_of_attack_has_tools_enough_to_leave_one_out() -> None:
    kinds = [tool.label for tool in plan.TOOLS if tool.label != plan.BENIGN]
    assert min(map(kinds.count, kinds)) >= 2


@pytest.mark.parametrize("seed", range(20))
def test_no_address_but_that_of_the_server_and_no_flood_without_bounds(seed: int) -> None:
    for session in plan.plan(seed, 1, 1):
        for step in session.steps:
            command = " ".join(step.command)
            assert addresses.SERVER in command
            assert 0 <= step.pause <= 0.5
            if step.command[0] == "hping3":
                options = dict(zip(step.command, step.command[1:], strict=False))
                assert int(options["-c"]) <= 3000
                assert int(options["-i"].removeprefix("u")) >= 200
                assert "--rand-source" not in command
            assert "--flood" not in command


@pytest.mark.parametrize(("kind", "data"), [(1, b"\x0a\x4d\x00\x03"), (28, bytes(15) + b"\x01"), (16, b"\x0bhello world")])
def test_dns_answers(kind: int, data: bytes) -> None:
    question = QUESTION + kind.to_bytes(2, "big") + b"\x00\x01"
    answer = server.answer(question)
    assert answer[:2] == question[:2]
    assert answer[2] & 0x80
    assert answer[12:].startswith(question[12:])
    assert answer.endswith(len(data).to_bytes(2, "big") + data)


def test_dns_of_an_unknown_type_is_an_answer_without_records() -> None:
    question = QUESTION + b"\x00\x0f\x00\x01"
    assert server.answer(question)[6:8] == bytes(2)


@pytest.mark.parametrize(
    "query", [b"", QUESTION, QUESTION[:14], b"\x12\x34\x01\x00\x00\x02" + QUESTION[6:] + b"\x00\x01\x00\x01"]
)
def test_what_is_no_question_has_no_answer(query: bytes) -> None:
    assert server.answer(query) == b""


def test_folds_keep_sessions_whole_and_spread_tools() -> None:

    groups = np.array([f"{tool}-{n:03}" for tool in ("a", "b-c") for n in range(8) for _ in range(3)])
    own = evaluating.folds(groups, 4)
    for group in np.unique(groups):
        assert len(set(own[groups == group])) == 1
    for tool in ("a", "b-c"):
        mine = own[np.char.startswith(groups, tool + "-")]
        assert np.bincount(mine, minlength=4).tolist() == [6, 6, 6, 6]
