"""The command line. Each verb has one file, which is imported when it is called, so that ``ebpfnn --help`` is fast."""

from __future__ import annotations

import click

from .group import LazyGroup
from .plugin_option import plugin_option
from .verbose import log_format_option, verbose_option

VERBS = {
    "infer": "Classify images with a network in the kernel.",
    "load": "Load a network into the kernel and keep it there.",
    "list": "List loaded networks.",
    "swap": "Replace a loaded network with another.",
    "watch": "Show the inferences of a loaded network as they happen.",
    "apply": "Make the loaded networks those that a file declares.",
    "exporter": "Serve what instances count to Prometheus.",
    "stats": "Show runs and inferences per second.",
    "verdicts": "List the verdicts of a network that observes events.",
    "actions": "Show what a guard does, and on how many events.",
    "alerts": "Print the events that a guard with action event acts on.",
    "cases": "List the latest verdicts that made a guard act.",
    "explain": "Show which columns of a row spoke for a verdict.",
    "enforce": "Let a guard act on events.",
    "audit": "Let a guard only count what it would do.",
    "pause": "Stop a guard from acting at once.",
    "resume": "Let a paused guard go on.",
    "unload": "Unload networks from the kernel.",
    "query": "Classify images with a network on another machine, over UDP.",
    "models": "List the bundled networks and those in the current directory.",
    "collect": "Collect rows of events in the kernel to train on.",
    "label": "Label collected rows by rules.",
    "train": "Train, quantize and save a network.",
    "cascade": "Put a fast network in front of an accurate one.",
    "calibrate": "Choose from which margin on verdicts count.",
    "quantize": "Quantize a trained network from PyTorch or ONNX.",
    "eval": "Measure accuracy in floating point, in integers and in the kernel.",
    "export": "Export a network to plain files or ONNX.",
    "import": "Import a network from plain files.",
    "inspect": "Show the layers, the compiled code and kernel figures of a network.",
    "bench": "Measure inference time in the kernel and in user space.",
    "plugins": "List what plugins offer, or create a new one.",
    "fields": "List the fields of an event that a network can see.",
    "spec": "List specs, or check one: what is computed from events.",
    "include-dir": "Print the include directory for building triggers.",
    "bpf": "Inspect the BPF objects in this kernel.",
    "doctor": "Check this machine and suggest fixes.",
    "completion": "Print a shell completion script.",
    "help": "Show the help of a verb.",
    "objdump": "List programs, maps and relocations of a BPF object file.",
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
@log_format_option
@plugin_option
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Neural networks that run inside the Linux kernel.

    `ebpfnn infer digit.png` classifies an image; `ebpfnn doctor` checks this machine.

    The exit status is 0 on success, 1 on failure, 2 for wrong usage, 130 when interrupted, and 143 when terminated.
    """
    del debug  # read by LazyGroup.invoke
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


main.params.append(verbose_option())
