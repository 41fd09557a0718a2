"""The command line: one verb a file, imported when it is called, so that ``ebpfnn --help`` costs nothing."""

from __future__ import annotations

import click

from .group import LazyGroup
from .plugin_option import plugin_option
from .verbose import verbose_option

VERBS = {
    "infer": "Name what images show, by a network that runs in the kernel.",
    "load": "Load a network into the kernel, where it stays.",
    "list": "List the networks that stay in the kernel.",
    "swap": "Put another network into the place of one in the kernel.",
    "watch": "Tell what networks that stay in the kernel answer, as it happens.",
    "stats": "Count what a network that stays in the kernel does a second.",
    "unload": "Take networks out of the kernel.",
    "query": "Name what images show, by a network that answers packets on another machine.",
    "models": "List the networks that ship with ebpfnn and those in this directory.",
    "train": "Train a network, quantize it and save it.",
    "quantize": "Make integers of a network from PyTorch or ONNX.",
    "eval": "Measure how often a network is right: in floats, in integers, in the kernel.",
    "export": "Write a network for other programs: plain files, ONNX.",
    "import": "Read a network from plain files.",
    "inspect": "Tell what a network is made of, what it is compiled to, and what the kernel says of that.",
    "bench": "Time networks in the kernel, beside user space.",
    "plugins": "List triggers and inputs, and where they come from; begin one of your own.",
    "include-dir": "Print the directory of the headers that triggers are built with.",
    "bpf": "Look at the BPF in this kernel.",
    "doctor": "Tell what this machine lacks, and how to mend it.",
    "completion": "Print the completion script of a shell.",
    "help": "Show the help of a verb.",
    "objdump": "List a BPF object's programs, maps and relocations.",
}


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"ebpfnn {version('ebpfnn')}")
    except PackageNotFoundError:
        click.echo("ebpfnn, not installed")
    context.exit()


@click.group(cls=LazyGroup, verbs=VERBS, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with every error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version.")
@plugin_option
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Neural networks that run inside the Linux kernel.

    `ebpfnn infer digit.png` names the digit; `ebpfnn doctor` tells what this machine lacks.
    """
    del debug  # read by LazyGroup.invoke
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


main.params.append(verbose_option())
