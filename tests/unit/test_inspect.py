"""``ebpfnn inspect`` where nothing may be asked of the kernel, and what it makes of a listing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from networks import random_network

from ebpfnn.abi import INFER
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.compiler import compile_network
from ebpfnn.errors import NotSupported, PermissionDenied
from ebpfnn.evaluation import inspection, network_facts
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.obj.disasm import disassemble


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuantizedNetwork:
    """A network in ``small.safetensors``, and nobody may ask the kernel."""

    def refused(_network: QuantizedNetwork, _plan: str | None, _plugins: object) -> None:
        raise PermissionDenied("program 'probe': BPF_PROG_LOAD refused with EPERM; run as root", 1)

    monkeypatch.setattr(inspection, "compile_here", refused)
    monkeypatch.chdir(tmp_path)
    network = random_network("conv2x3-pool2-6-3", 1, (1, 8, 8))
    modelfile.save(network, "small.safetensors")
    return network


def inspect(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["inspect", *arguments], prog_name="ebpfnn")


def test_what_needs_no_kernel_is_told_and_what_is_left_out(small: QuantizedNetwork) -> None:
    ran = inspect("small.safetensors")
    assert ran.exit_code == 0
    assert ran.stdout.startswith("test: conv2x3-pool2-6-3, ")
    assert "input: 1x8x8, 8 bits, 64 bytes a sample\n" in ran.stdout
    words = [line.split() for line in ran.stdout.splitlines()]
    assert [row[:2] for row in words if row and row[0] in "0123"][:4] == [
        ["0", "convolution"],
        ["1", "max"],
        ["2", "dense"],
        ["3", "dense"],
    ]
    assert "instructions, " in ran.stdout
    assert "verified instructions" not in ran.stdout
    assert (
        ran.stderr == "ebpfnn: kernel figures not available: program 'probe': BPF_PROG_LOAD refused with EPERM; run as root\n"
    )


def test_thresholds_of_each_value_are_told(small: QuantizedNetwork) -> None:
    form = InputFormat((3,), 2, value_thresholds=((1, 2, 3), (7, 7, 256), (256, 256, 256)))
    modelfile.save(replace(random_network((3, 2), 1, bits=2), input=form), "own.safetensors")
    ran = inspect("own.safetensors")
    assert "thresholds: each value has its own, 1 to 4 levels\n" in ran.stdout
    assert "plan: the first layer reads levels by a table for each value" in ran.stdout
    assert json.loads(inspect("own.safetensors", "--json").stdout)["input"]["value_thresholds"] == [
        list(each) for each in form.value_thresholds
    ]
    assert "thresholds:" not in inspect("small.safetensors").stdout


def test_json(small: QuantizedNetwork) -> None:
    told = json.loads(inspect("small.safetensors", "--json").stdout)
    assert told["kernel"] is None
    assert told["left_out"].startswith("program 'probe'")
    assert told["macs"] == small.macs == sum(layer["macs"] for layer in told["layers"])
    assert [plan["layer"] for plan in told["plans"]] == [0, 1, 2, 3]
    assert sum(plan["instructions"] for plan in told["plans"]) <= told["code"]["instructions"]
    assert told["code"]["table_bytes"] == sum(plan["table_bytes"] for plan in told["plans"])
    assert told["input"]["sample_bytes"] == 64
    assert told["plan"] == json.loads(json.dumps(network_facts.describe_plan(compile_network(small).plan)))
    assert told["plan"]["sample"] == "the sample as it is, a byte each"
    assert told["plan"]["stack"] == told["code"]["stack"]
    assert [layer["shape"] for layer in told["plan"]["layers"]] == [plan["shape"] for plan in told["plans"]]


def test_the_decision_is_told_and_why(small: QuantizedNetwork) -> None:
    lines = inspect("small.safetensors").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    begin = lines.index("plan: the first layer reads the sample as it is, a byte each")
    decided = [line.split() for line in lines[begin + 2 : begin + 6]]
    layers = network_facts.describe_plan(compile_network(small).plan)["layers"]
    assert [row[:2] for row in decided] == [[str(number), layer["shape"]] for number, layer in enumerate(layers)]
    why = next(number for number, line in enumerate(lines) if line.startswith("candidates, the best first"))
    taken = [line.split() for line in lines[why:] if line.endswith("used")]
    assert [row[0] for row in taken] == ["0", "2", "3"]
    assert [row[-2] for row in taken] == [f"{layers[number]['candidates'][0]['cost']:,.0f}" for number in (0, 2, 3)]
    assert not any("not the cheapest" in line for line in lines)


def test_a_plan_that_is_not_the_cheapest_is_told(small: QuantizedNetwork) -> None:
    modelfile.save(replace(random_network((300, 20, 5), 1), density=(0.1, 0.9)), "sparse.safetensors")
    note = "layer 0: not the cheapest: --plan named another, or the verifier takes no list this long\n"
    assert note not in inspect("sparse.safetensors").stdout
    assert note in inspect("sparse.safetensors", "--plan", "straight").stdout


def test_the_listing_says_what_instructions_are_for(small: QuantizedNetwork) -> None:
    lines = inspect("small.safetensors", "--asm").stdout.splitlines()
    compiled = compile_network(small)
    code = compiled.spec.functions[INFER].code
    assert len(lines) == len(list(disassemble(code))) + len(compiled.notes)
    assert any(line.startswith("; layer 2: ") for line in lines)
    assert lines[-1].endswith("exit")
    assert any("; data layer" in line for line in lines)
    assert json.loads(inspect("small.safetensors", "--asm", "--json").stdout) == lines


def test_a_plan_that_is_not_known(small: QuantizedNetwork) -> None:
    ran = inspect("small.safetensors", "--plan", "nonesuch")
    assert ran.exit_code == 1
    assert ran.stderr.startswith("ebpfnn: plan 'nonesuch' is not known; known are ")
    assert inspect("small.safetensors", "--plan", "straight").exit_code == 0


def test_a_kernel_that_runs_no_programs(small: QuantizedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_given: object) -> None:
        raise NotSupported("trigger 'run': this kernel takes neither SYSCALL nor XDP programs")

    monkeypatch.setattr(inspection, "compile_here", lambda network, plan, plugins: compile_network(network, plan=plan))
    monkeypatch.setattr(inspection, "run_in_kernel", lacking)
    ran = inspect("small.safetensors")
    assert "not available: trigger 'run': this kernel takes neither" in ran.stderr


def test_the_columns_are_those_of_the_glossary_and_explained(small: QuantizedNetwork) -> None:
    text, told = inspect("small.safetensors").stdout, " ".join(inspect("--help").stdout.split())
    assert text.endswith("`ebpfnn inspect --help` explains the columns\n")
    heads = [line for line in text.splitlines() if line.startswith("layer  ")]
    assert len(heads) == 5
    named = {name for line in heads for name in re.split("  +", line)}
    obvious = {"layer", "kind", "input", "output", "inputs", "outputs as", "parameters", "multiplications", "instructions"}
    explained = named - obvious - {"table bytes", "loops not walked"}
    assert explained >= {"density", "lanes", "segments", "walked", "cost"}
    assert [name for name in sorted(explained) if name.rstrip("s") not in told] == []
