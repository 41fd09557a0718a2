"""Names out of files, in what is told of them: one printable line, whatever a file calls its parts."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner
from elves import section_start, shipped
from PIL import Image

from ebpfnn import datasets, importers
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import Error, KernelError, ModelError, VerifierError, printable
from ebpfnn.importers import ImportOptions
from ebpfnn.obj.reader import read_object

EVIL = "\x1b[2J\x9b1mred\x07\r\nline\u2028\u202egnp.exe\x00\x7f\ud800"


def told(do: Callable[[], object]) -> str:
    """The text of the Error, which must be one line that can be printed, and tell of the name."""
    with pytest.raises(Error) as caught:
        do()
    text = str(caught.value)
    assert text.isprintable()
    assert "red" in text
    return text


def test_whatever_a_message_is_made_of() -> None:
    for error in (ModelError(EVIL), KernelError(EVIL, 22), VerifierError(EVIL, 22, "log\n")):
        assert str(error).isprintable()
        assert r"\x1b[2J\x9b1mred\x07 line" in str(error)
        assert str(error).endswith(r"\u202egnp.exe\x00\x7f\ud800")
    assert str(ModelError("two  spaces, é")) == "two  spaces, é"
    assert str(ModelError()) == ""
    assert printable("a\tb") == r"a\tb"


def test_a_message_that_a_name_made_long_keeps_its_ends() -> None:
    text = str(ModelError("net.onnx: node " + "x" * 100_000 + "; export it again"))
    assert len(text) < 5_000
    assert text.startswith("net.onnx: node x")
    assert text.endswith("x; export it again")
    assert " [...] " in text


def onnx_file(path: Path, **names: str) -> None:
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    node = helper.make_node(names.get("op", "Relu"), [names.get("input", "x")], ["y"], name=names.get("node", "a"))
    held = [onnx.numpy_helper.from_array(np.zeros((4, 4), np.complex64), names["held"])] if "held" in names else []
    node.input.extend(each.name for each in held)
    model = helper.make_model(helper.make_graph([node], "g", [given], [taken], held))
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "names",
    [
        {"node": "\x1b[2Jred", "op": "Sin"},
        {"op": "\x1b[2Jred"},
        {"input": "\x1b[2Jred"},
        {"held": "\x1b[2Jred", "op": "MatMul"},
        {"node": "\n\x9bred", "op": "If"},
    ],
)
def test_names_in_onnx_files(names: dict[str, str], tmp_path: Path) -> None:
    onnx_file(tmp_path / "net.onnx", **names)
    told(lambda: importers.load(tmp_path / "net.onnx"))


def test_keys_of_tensors(tmp_path: Path) -> None:
    import torch

    name, options = EVIL[:-1], ImportOptions(shape=(12, 12), architecture="144-5")
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save({name: np.zeros((3, 3), np.float32)}))
    told(lambda: importers.load(tmp_path / "net.safetensors", options))
    for value in (torch.zeros(3, 3), 5, torch.zeros(3, dtype=torch.complex64)):
        torch.save({name: value}, tmp_path / "net.pt")
        told(lambda: importers.load(tmp_path / "net.pt", options))


def test_names_of_files_and_of_what_is_in_them(tmp_path: Path) -> None:
    evil = tmp_path / "a\x1b[2J\nred\udcff.npz"
    evil.write_bytes(b"")
    told(lambda: datasets.read(evil, "test"))
    told(lambda: modelfile.load(evil))
    stream, samples = io.BytesIO(), io.BytesIO()
    np.save(samples, np.zeros((2, 4), np.uint8))
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("samples.npy", samples.getvalue())
        made.writestr("\x1b[2Jred.npy", b"")
    (tmp_path / "x.npz").write_bytes(stream.getvalue())
    told(lambda: datasets.read(tmp_path / "x.npz", "test"))
    folder = tmp_path / "images" / "\x1b[2Jred"
    folder.mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "0.png")
    told(lambda: datasets.read(tmp_path / "images", "test", (4, 4), ("one", "two")))


def test_metadata_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors.numpy.save({"x": np.zeros(1)}, {"format": "ebpfnn", "version": "\x1b[2J\nred"}))
    told(lambda: modelfile.load(path))


def refused(data: bytes) -> str:
    try:
        read_object(data, "\x1b[2J\nred.o")
    except Error as error:
        return str(error)
    return ""


@pytest.mark.parametrize("section", [".strtab", ".BTF", "license"])
def test_names_in_bpf_objects(section: str) -> None:
    """Of sections, symbols and types: each word of a string table in turn."""
    whole, seen = shipped("kprobe"), set()
    start = section_start(whole, section)
    for word in re.finditer(rb"[a-z_.A-Z]{4,}", whole[start : start + 9_000]):
        name = (b"\x1b[2red" + b"\x07\n" * 99)[: len(word[0])]
        at = start + word.start()
        seen.add(refused(whole[:at] + name + whole[at + len(name) :]))
    assert all(text.isprintable() for text in seen)
    assert section == ".BTF" or len(seen) > 1


def test_what_a_verb_prints(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2Jred.onnx"
    path.write_bytes(b"\0")
    result = CliRunner().invoke(main, ["quantize", str(path)])
    assert "\x1b" not in result.output
    assert r"\x1b[2Jred.onnx" in result.output


def test_names_of_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.cli import plugins as verb

    row = {"kind": "input", "name": "\x1b[2Jred", "summary": "\x9b1m", "distribution": "x\ny", "reason": "\x07"}
    monkeypatch.setattr(verb, "_rows", lambda _plugins: [row])
    printed = CliRunner().invoke(verb.command, []).output
    assert r"\x1b[2Jred" in printed
    assert printed.replace("\n", "").isprintable()
