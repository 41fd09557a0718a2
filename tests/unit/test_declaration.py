"""Files that declare instances: what they may say, and what is refused before anything is looked at in the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnn.declared.declaration import MOST_BYTES, MOST_INSTANCES, read
from ebpfnn.errors import Error, ModelError, UsageError

FULL = """
[[instance]]
name = "guard"
model = "models/guard.safetensors"
trigger = "xdp"
target = "eth0"
options = { mode = "generic" }
where = ["source in 10.0.0.0/8"]
any_mode = true
group = "ebpfnn"
action = "drop:5"
after = 3
lasting = "30s"
most = 1
allow = ["source in 192.0.2.0/24 and port == 22"]
usual_allowed = false
enforce = true
for = "10m"

[[instance]]
name = "digits"
model = "mnist"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "guard.safetensors").touch()
    return tmp_path / "guards.toml"


def test_all_keys_and_the_fewest(file: Path) -> None:
    file.write_text(FULL)
    guard, digits = read(file)
    assert (guard.name, guard.model) == ("guard", file.parent / "models" / "guard.safetensors")
    assert guard.enforcement == "600000000000"
    assert set(guard.fixed) == {*guard.entry} - {"enforce", "for"}
    assert (digits.model.name, dict(digits.entry), digits.enforcement) == ("mnist.safetensors", {}, "")


@pytest.mark.parametrize(
    ("brakes", "enforcement"),
    [("", ""), ("enforce = false", "audit"), ("enforce = true", "forever"), ('enforce = true\nfor = "1ms"', "1000000")],
)
def test_enforcement(file: Path, brakes: str, enforcement: str) -> None:
    file.write_text(f'[[instance]]\nname = "a"\nmodel = "mnist"\naction = "drop"\n{brakes}')
    assert read(file)[0].enforcement == enforcement


def test_no_instance_is_declared_on_purpose_alone(file: Path) -> None:
    file.write_text("instance = []")
    assert read(file) == []
    for text in ("", "# nothing", "[instance]\nname = 'a'"):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"or `instance = \[\]` to unload all of them$"):
            read(file)


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("acton = 'drop'", "instance 1 'a': 'acton' is not known; did you mean 'action'?"),
        ("xyz = 1", "instance 1 'a': 'xyz' is not known; it may have name, model, trigger"),
        ("target = 7", "instance 1 'a': target is 7; give a text"),
        ("target = ''", "instance 1 'a': target is ''; give a text"),
        ('target = "a\\u001bb"', "give a text"),
        ("options = ['mode']", "options is ['mode']; give a table of texts"),
        ("options = { port = 7 }", "give a table of texts"),
        ("where = 'uid == 0'", "where is 'uid == 0'; give a list of texts"),
        ("any_mode = 1", "any_mode is 1; give true or false"),
        ("after = 2", "after is for guards; give an action too"),
        ("enforce = true", "enforce is for guards; give an action too"),
        ("action = 'drop'\nafter = true", "after is True; give an integer of 1 to 65536"),
        ("action = 'drop'\nafter = 0", "after is 0; give an integer of 1 to 65536"),
        ("action = 'drop'\nlasting = 60", 'lasting is 60; give a duration such as "30s"'),
        ("[[instance]]\nname = 'b c'\nmodel = 'mnist'", "name is 'b c'; give 1 to 64 characters of A-Z a-z 0-9 _ -"),
        ("action = 'drop'\nmost = 0", "most is 0; give a number above 0 and up to 1"),
        ("action = 'drop'\nmost = nan", "most is nan; give a number above 0 and up to 1"),
        ("action = 'drop'\nlasting = 'soon'", "lasting is 'soon'; give a duration such as \"30s\""),
        ("action = 'drop'\nfor = '5m'", "for limits how long a guard acts; give enforce = true too"),
        ("action = 'drop'\nenforce = true\nfor = '0s'", "for is '0s'; give a duration"),
        ("[[instance]]\nmodel = 'mnist'", "instance 2: it has no name; give one"),
        ("[[instance]]\nname = 'b'", "instance 2 'b': it has no model; give one"),
        ("[[instance]]\nname = 'a'\nmodel = 'mnist'", "'a' is declared twice; give each instance a name of its own"),
        ("[[instances]]\nname = 'a'", "'instances' is not known; did you mean 'instance'?"),
        ("[[instance]]\nname = 'b'\nmodel = 'mnits'", "model 'mnits' is no file; did you mean 'mnist'"),
        ("[[instance]]\nname = 'b'\nmodel = \"x\\u0000y\"", "give a text"),
        ("=", "not TOML"),
        (".".join("a" * 70) + " = 1", "not TOML"),
    ],
)
def test_what_is_refused(file: Path, line: str, fact: str) -> None:
    file.write_text(f"[[instance]]\nname = 'a'\nmodel = 'mnist'\n{line}")
    with pytest.raises(Error) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert fact in str(caught.value)
    assert "; " in str(caught.value)


def test_sizes_are_bounded(file: Path) -> None:
    file.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(ModelError, match="larger than 1 MiB"):
        read(file)
    file.write_text("".join(f"[[instance]]\nname = 'a{number}'\nmodel = 'mnist'\n" for number in range(MOST_INSTANCES + 1)))
    with pytest.raises(UsageError, match="declares 257 instances, over 256; write several files"):
        read(file)
    with pytest.raises(ModelError, match="cannot be read"):
        read(file.parent / "none.toml")
