"""Collected files: what was written is read, in every format; labels by rules; and what training makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from specs import bound

from ebpfnn.cli.label import command as label_command
from ebpfnn.collect import label, rules
from ebpfnn.collect.keys import parse, writer
from ebpfnn.collect.recorded import read_events, recording
from ebpfnn.collect.records import fields_type
from ebpfnn.collect.rows import Rows, reading
from ebpfnn.collect.rules import Rule
from ebpfnn.collect.writing import writing
from ebpfnn.datasets import tables
from ebpfnn.errors import InputError, UsageError
from ebpfnn.events import Replay, build, describe
from ebpfnn.plugin import Plugins
from ebpfnn.preparation.tables import read_about
from ebpfnn.training import Options
from ebpfnn.training.data import load
from ebpfnn.training.splitting import set_aside

FORMATS = (".npz", ".parquet", ".csv")
SPEC = {
    "name": "flow",
    "key": "flow",
    "event": [{"trigger": "xdp"}],
    "column": [{"name": "length", "reduce": "first", "of": "length"}, {"name": "count", "reduce": "count"}],
}
ABOUT = {"spec": dict(describe(build(SPEC))), "trigger": "xdp", "mode": "generic"}
NAMES = ("length.1", "count")
COUNT = [{"name": "n", "reduce": "count"}]


@pytest.fixture(params=FORMATS)
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


def rows(count: int, seed: int = 0, keys: Sequence[str] = (), group: str = "one") -> Rows:
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 1 << 64, (count, 4), np.uint64)
    texts = list(keys) or [f"10.0.0.{n % 200}:{n}-[2001:db8::{n % 7}]:80/tcp" for n in range(count)]
    return Rows(numbers[:, :2], texts, numbers[:, 2], numbers[:, 3], ['grün, "x"'] * count, [group] * count)


def write(path: Path, *blocks: Rows, names: Sequence[str] = NAMES) -> None:
    with writing(path, names, ABOUT) as into:
        for block in blocks:
            into.add(block)
        into.finish()


def read(path: Path) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    with reading(path) as (names, _, blocks):
        found: list[tuple[object, ...]] = []
        for block in blocks:
            found += as_read(block)
    return names, found


def as_read(*blocks: Rows) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for block in blocks:
        numbers, times = block.numbers.tolist(), block.times.tolist()
        found += zip(block.results.tolist(), block.keys, numbers, times, block.labels, block.groups, strict=True)
    return found


def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    blocks = [rows(5000), rows(1, 1, ["source=10.0.0.1"], "another"), rows(3, 2)]
    write(tmp_path / f"a{suffix}", *blocks)
    assert read(tmp_path / f"a{suffix}") == (NAMES, as_read(*blocks))
    assert read_about(tmp_path / f"a{suffix}") == ({} if suffix == ".csv" else ABOUT)


def test_no_rows_at_all(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}") == (NAMES, [])


def test_a_file_that_was_not_finished_leaves_the_former_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write(path, rows(7))
    before = path.read_bytes()
    with writing(path, NAMES, ABOUT) as into:
        into.add(rows(9))
    with suppress(RuntimeError), writing(path, NAMES, ABOUT) as into:
        into.add(rows(9))
        raise RuntimeError
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_parquet_has_row_groups_and_csv_needs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("ebpfnn.collect.writing.GROUP_ROWS", 1000)
    write(tmp_path / "a.parquet", *(rows(400, seed) for seed in range(7)))
    metadata = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [1200, 1200, 400]


def test_npz_has_a_limit_and_keeps_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.collect.rooms import NoRoom

    monkeypatch.setattr("ebpfnn.collect.writing.MAX_BYTES", 1 << 20)
    with writing(tmp_path / "a.npz", NAMES, ABOUT) as into:
        for seed in range(3):
            into.add(rows(1000, seed))
        with pytest.raises(NoRoom, match=r"at most 1 MiB; write \.parquet"):
            into.add(rows(10_000))
        into.finish()
    assert len(read(tmp_path / "a.npz")[1]) == into.rows == 3000
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20


@pytest.mark.parametrize("name", ["time", "label", "spec", "samples"])
def test_a_column_may_not_have_the_name_of_another(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"column '{name}': collected files have a column of that name"):
        write(tmp_path / "a.csv", names=(name, "count"))


@pytest.mark.parametrize(
    ("name", "fact"),
    [("a.txt", r"let it end in \.npz, \.parquet, \.csv"), ("no/a.csv", "No such file"), ("folder.csv", "Is a directory")],
)
def test_where_nothing_can_be_written(tmp_path: Path, name: str, fact: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=fact):
        write(tmp_path / name, rows(1))


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("a,b\n1,2\n", "no column 'key'; give a file that ebpfnn collect wrote"),
        ("n,key,number,time,label,group\n-1,x,1,1,,\n", "column 'n' is '-1'"),
        ("n,key,number,time,label,group\n1,x,,1,,\n", "column 'number' is ''"),
        ("n,key,number,time,label,group\n18446744073709551616,x,1,1,,\n", "must be an integer of 64 bits"),
    ],
)
def test_files_that_are_not_collected(tmp_path: Path, text: str, fact: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=fact):
        read(tmp_path / "a.csv")


def test_a_damaged_spec_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write(path, rows(3))
    path.write_bytes(path.read_bytes().replace(b'{"spec":{', b"[[[[[[[[["))
    with pytest.raises(InputError, match=r"a\.npz: its spec is damaged"):
        read_about(path)


def test_a_spec_with_half_a_character_is_an_error(tmp_path: Path) -> None:
    told = np.frombuffer(b'{"spec": "\\ud800"}', np.uint8)
    np.savez(tmp_path / "a.npz", key=["tgid=1"], number=[1], time=[1], label=["a"], group=["b"], spec=told)
    with pytest.raises(InputError, match=r"a\.npz: its spec is damaged \('utf-8' codec can't encode"):
        read_about(tmp_path / "a.npz")


# Keys


def key_of(values: dict[str, int], key: str | list[str], thread: bool = False) -> str:
    from specs import PACKET, THREAD

    fields = THREAD if thread else PACKET
    made = bound(COUNT, fields, key=key, event=[{"trigger": "raw_tracepoint" if thread else "xdp"}])
    found = Replay(made).observe(0, {field.name: 0 for field in fields} | values)
    assert found is not None
    return writer(made)(found.key)


V4 = {"version": 4, "protocol": 6, "source": 0x0A000002, "destination": 0x0A000001, "source_port": 1234, "destination_port": 80}
V6 = {"version": 6, "protocol": 58, "source_low": 5, "source_high": 0x20010DB8 << 32, "destination_low": 1}
COMM = {"comm": int.from_bytes(b'a "b\\c d', "little"), "comm_rest": int.from_bytes(b"e", "little"), "tgid": 7}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (key_of(V4, "flow"), {"address": "10.0.0.1 10.0.0.2", "port": (80, 1234), "protocol": (6,)}),
        (
            key_of(V4, "flow.directed"),
            {
                "source": "10.0.0.2",
                "destination": "10.0.0.1",
                "source_port": (1234,),
                "destination_port": (80,),
                "protocol": (6,),
            },
        ),
        (key_of(V6, "flow.directed"), {"source": "2001:db8::5", "destination": "::1", "address": "2001:db8::5 ::1"}),
        (key_of({**V4, "protocol": 200}, "flow"), {"protocol": (200,)}),
        (key_of(V4, "source"), {"source": "10.0.0.2", "address": "10.0.0.2"}),
        (key_of(V6, "destination"), {"destination": "::1"}),
        (key_of(V4, ["source", "destination_port"]), {"source": "10.0.0.2", "destination_port": (80,)}),
        (key_of(V6, ["source_low"]), {"source_low": (5,)}),
        (key_of(COMM, ["tgid", "comm", "comm_rest"], thread=True), {"tgid": (7,), "comm": ('a "b\\c de',)}),
        (key_of(COMM, ["comm"], thread=True), {"comm": ('a "b\\c d',)}),
    ],
)
def test_a_key_is_text_that_tells_its_parts(text: str, parts: dict[str, object]) -> None:
    found = parse(text)
    for name, value in parts.items():
        shown = " ".join(map(str, found[name])) if isinstance(value, str) else found[name]
        assert shown == value, (text, name)


def test_the_texts_of_keys() -> None:
    assert key_of(V4, "flow") == "10.0.0.1:80-10.0.0.2:1234/tcp"
    assert key_of(V6, "flow.directed") == "[2001:db8::5]:0>[::1]:0/icmpv6"
    assert key_of(V4, ["source", "destination_port"]) == "source=10.0.0.2 destination_port=80"


@given(st.text(max_size=40))
def test_any_text_is_a_key_or_one_error(text: str) -> None:
    try:
        assert parse(text)
    except InputError as error:
        assert "ebpfnn collect" in str(error)  # noqa: PT017


# Rules


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("any", True),
        ("address in 10.0.0.0/24", True),
        ("address in 10.0.1.0/24", False),
        ("address not in 10.0.0.2/32", False),
        ("address not in 192.168.0.0/16 and port != 22", True),
        ("address == 10.0.0.2 and port == 80", True),
        ("address in 2001:db8::/32", False),
        ("port != 80", False),
        ("port > 1000 and protocol == tcp", True),
        ("port >= 0x4d3", False),
        ("protocol == udp", False),
        ("port == 80 and port == 1234", True),
    ],
)
def test_rules_about_either_end(where: str, holds: bool) -> None:
    assert rules.parse(f"{where} -> x").holds(parse("10.0.0.1:80-10.0.0.2:1234/tcp")) is holds


def test_rules_about_text() -> None:
    key = parse('uid=1000 comm="a and b"')
    assert rules.parse('comm == "a and b" and uid < 1001 -> x').holds(key)
    assert not rules.parse('comm != "a and b" -> x').holds(key)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("port == 22", "is not CONDITION -> NAME"),
        ("-> x", "is not CONDITION -> NAME"),
        ("port == 22 ->", "1 to 64 characters"),
        ("port = 22 -> x", "'port = 22' is not a condition"),
        ("port in 22 -> x", "port in 22"),
        ("source in 10.0.0.1/8 -> x", "has host bits set"),
        ("port < 10.0.0.1 -> x", "cannot be compared by <"),
        ("comm == 'x' -> y", "comm == 'x'"),
        ("port == 22 and -> x", "'22 and' does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_rules_that_are_refused(text: str, fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        rules.parse(text)


def test_a_rule_has_a_longest_length() -> None:
    with pytest.raises(UsageError, match=r"^rule of 25,\d+ characters, over 1024; write several rules, or shorter ones$"):
        rules.parse(f"any{' and ' * 5000} -> web")


def test_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nwhere = ["port == 22", "protocol == tcp"]\nlabel = "ssh"\n[[rule]]\ngroup = "all"\n')
    first, second = rules.load(path)
    assert (len(first.tests), first.label, first.group) == (2, "ssh", None)
    assert second == Rule((), None, "all")
    for text, fact in [
        ("x", "not TOML"),
        (f"a{'.a' * 99} = 1", "not TOML: a key of over 64 parts"),
        (f"[[rule]]\nlabel='a'\nwhere='port == {'1' * 1024}'", "rule 1: 'port == 1*... is not a condition"),
        ("[rule]\n", "write tables"),
        ("[[rule]]\nwhere = [1]\nlabel='x'", "rule 1: where is not a list"),
        ("[[rule]]\nlabel=1", "rule 1: label is 1"),
        ("[[rule]]\nlabel='a'\n[[rule]]\nwhere='port == 1'", "rule 2: neither label nor group"),
        ("[[rule]]\nlabel='a'\nlable='b'", "rule 1: 'lable' is not known"),
        ("[[rule]]\nlabel='a'\nwhere='port'", "rule 1: 'port' is not a condition"),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=fact):
            rules.load(path)


KEYS = ("10.0.0.1:22-10.0.0.2:1234/tcp", "10.0.1.1:80-10.0.0.2:1235/tcp", "10.0.2.1:53-10.0.0.2:1236/udp")


def test_the_first_rule_that_holds_gives_the_label(tmp_path: Path, suffix: str) -> None:
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    block = rows(3, keys=KEYS)
    write(path, block)
    given = [
        rules.parse("port == 22 -> ssh"),
        rules.parse("protocol == tcp -> web"),
        rules.parse("port == 53 -> dns", of_groups=True),
    ]
    found = label(path, given, other)
    assert (found.rows, dict(found.labels), found.by_rule) == (3, {"ssh": 1, "web": 1, block.labels[2]: 1}, [1, 1, 1])
    names, written = read(other)
    assert [(row[4], row[5]) for row in written] == [("ssh", "one"), ("web", "one"), (block.labels[2], "dns")]
    assert [row[:4] for row in written] == [row[:4] for row in as_read(block)]
    assert (names, read_about(other)) == (NAMES, read_about(path))
    assert read(path)[1] == as_read(block)
    label(path, given)
    assert read(path) == read(other)


def test_the_verb(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, rows(3, keys=KEYS))
    words = ["--rule", "port == 22 -> ssh", "--rule", "port == 9 -> none", "--rule", "any -> rest", "--group-rule", "any -> g"]
    ran = CliRunner().invoke(label_command, [str(path), *words], catch_exceptions=False)
    expected = f"{path}: 3 rows\n  labels: rest 2, ssh 1\n  groups: g 3\n  rule 2 gave no row anything\n"
    assert (ran.exit_code, ran.output) == (0, expected)


def test_a_rule_about_what_keys_lack_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, rows(3, keys=KEYS))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="the key has no 'adress'; did you mean 'address'"):
        label(path, [rules.parse("adress in 10.0.0.0/8 -> x")])
    with pytest.raises(UsageError, match="no rules"):
        label(path, [])
    assert path.read_bytes() == before


# Training


def learnable(path: Path, groups: dict[str, str], each: int = 30) -> None:
    """``each`` rows of every group, whose class it names."""
    random = np.random.default_rng(3)
    with writing(path, NAMES, ABOUT) as into:
        for number, (group, name) in enumerate(groups.items()):
            results = random.integers(0, 1000, (each, 2)).astype(np.uint64)
            own = np.arange(each, dtype=np.uint64) + np.uint64(number * each)
            into.add(Rows(results, [f"source=10.0.0.{number}"] * each, own, own, [name] * each, [group] * each))
        into.finish()


def test_own_columns_are_no_inputs_and_groups_are_not_split(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    learnable(path, {f"s{n}": "bad" if n % 3 else "good" for n in range(12)})
    whole = tables.load(path)
    assert (tuple(whole.columns), whole.label, whole.classes, whole.split_by) == (NAMES, "label", ("bad", "good"), "group")
    said: list[str] = []
    data = load(Options(tmp_path / "m.safetensors", path), Plugins.installed(), said.append)
    assert (len(data.training.labels), len(data.held_out.labels), len(data.test.labels)) == (240, 60, 60)
    assert all(set(part.labels.tolist()) == {0, 1} for part in (data.training, data.held_out, data.test))
    assert "split by column 'group': 8 groups to learn from, 2 held out, 2 to test; --split-by names another" in said
    assert data.card["split"] == "by column 'group': 8 groups to learn from, 2 held out, 2 to test"
    assert not any("no groups of" in line for line in said)
    assert tables.load(path, split_by="none").groups is None
    assert "group" not in tables.load(path, split_by="none").columns


def test_each_class_stays_to_learn_from(tmp_path: Path) -> None:
    """Of each class but one there is a single group, so only groups of that one can be set aside."""
    groups = np.repeat(np.arange(8), 10)
    labels = np.where(groups < 5, 0, groups)
    rest, aside = set_aside(np.arange(80), 30, groups, labels)
    assert set(groups[aside]) < set(range(5))
    assert set(labels[rest]) == set(labels)
    assert (len(aside), len(set(groups[aside]))) == (30, 3)


def test_few_sessions_are_used_as_far_as_they_go(tmp_path: Path) -> None:
    """Of four, one is held out and one tests, of different classes; that they lack one is told."""
    path = tmp_path / "a.csv"
    learnable(path, {"a": "good", "b": "bad", "c": "good", "d": "bad"})
    said: list[str] = []
    data = load(Options(tmp_path / "m.safetensors", path), Plugins.installed(), said.append)
    assert [len(part.labels) for part in (data.training, data.held_out, data.test)] == [60, 30, 30]
    assert set(data.training.labels.tolist()) == {0, 1}
    assert {*data.held_out.labels.tolist(), *data.test.labels.tolist()} == {0, 1}
    assert sum("give each class in three groups or more" in line for line in said) == 2


def test_one_session_is_not_split_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    learnable(path, {"one": "good", "two": "bad"}, 60)
    with pytest.raises(InputError, match=r"none can be set aside so that all classes are left .* --split-by none"):
        load(Options(tmp_path / "m.safetensors", path), Plugins.installed())
    assert len(load(Options(tmp_path / "m.safetensors", path, split_by="none"), Plugins.installed()).test.labels) == 20


def test_other_tables_keep_columns_of_these_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,number,label\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(50)))
    whole = tables.load(tmp_path / "a.csv")
    assert (tuple(whole.columns), whole.groups) == (("time", "number"), None)


# Recordings


def test_recorded_events_come_back_in_order(tmp_path: Path) -> None:
    from specs import THREAD

    made = bound(COUNT, THREAD, key=["tgid"], event=[{"trigger": "raw_tracepoint", "target": f"e{n}"} for n in range(2)])
    types = [fields_type(event) for event in made.events]
    random = np.random.default_rng(1)
    given: list[tuple[int, dict[str, int]]] = []
    with recording(tmp_path / "a.npz", types, ABOUT) as recorder:
        for _ in range(3000):
            index = int(random.integers(2))
            values = random.integers(0, 1 << 62, len(types[index].names or ()))
            recorder.add(index, np.array([tuple(values.tolist())], types[index]).tobytes())
            given.append((index, dict(zip(types[index].names or (), values.tolist(), strict=True))))
        recorder.finish()
    assert read_events(tmp_path / "a.npz") == (ABOUT, given)
    with np.load(tmp_path / "a.npz") as held:
        assert sorted(held.files) == ["events_0", "events_1", "order_0", "order_1", "spec"]


def test_all_of_a_recording_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(tmp_path / "a.npz", [np.dtype([("a", "u8")])] * 9, ABOUT) as recorder:
        recorder.finish()
    assert read_events(tmp_path / "a.npz") == (ABOUT, [])
    monkeypatch.setattr("ebpfnn.collect.recorded.MOST_BYTES", 1000)  # over any one of its arrays, and under all of them
    with pytest.raises(InputError, match="damaged"):
        read_events(tmp_path / "a.npz")


def test_what_is_no_recording(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", rows(3))
    (tmp_path / "b.npz").write_bytes(b"PK\3\4")
    for name, fact in (("a", "not a recording"), ("b", "not a recording"), ("c", "No such file")):
        with pytest.raises(InputError, match=fact):
            read_events(tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match=r"let the name end in \.npz"), recording(tmp_path / "a.csv", [], {}):
        pass
