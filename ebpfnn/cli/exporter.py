"""``ebpfnn exporter``: what instances count, for Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from .. import files
from ..errors import NotSupported, UsageError
from ..instance import Store
from .messages import complain
from .seconds import Seconds

_MOST_PORT = 65535


@click.command()
@click.option("--listen", default="127.0.0.1:9464", show_default=True, metavar="ADDRESS:PORT", help="Where to serve /metrics.")
@click.option("--once", is_flag=True, help="Print the metrics instead.")
@click.option("--textfile", type=click.Path(path_type=Path), metavar="FILE", help="Write them to FILE instead, atomically.")
@click.option("--timeout", type=Seconds(0.1, 600), default=5.0, show_default=True, help="Seconds that a scrape may take.")
def command(listen: str, once: bool, textfile: Path | None, timeout: float) -> None:
    """Serve what all instances count as metrics for Prometheus, until the command is stopped.

    Inferences, verdicts by label, what guards did by label and reason, how full maps are, and more: docs/operations.md lists
    them. Nothing in the kernel is changed. Run times are there only while `sysctl kernel.bpf_stats_enabled` is 1.

    There is no password and no encryption: listen on the loopback address, or where only Prometheus has access. --textfile is
    for the textfile collector of node_exporter; its name ends in .prom.
    """
    if once and textfile:
        raise UsageError("--once prints what --textfile writes; give one of them")
    host, port = _address(listen)
    try:
        from prometheus_client import generate_latest

        from ..metrics.collector import Instances
        from ..metrics.server import Server
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("ebpfnn"):
            raise
        raise NotSupported(f"exporter: {error.name} is not installed; pip install 'ebpfnn[exporter]'") from error
    instances = Instances(Store(), timeout)
    if once:
        click.echo(generate_latest(instances), nl=False)
    elif textfile:
        _write(textfile, generate_latest(instances))
    else:
        with Server(host, port, instances) as server:
            where = f"[{host}]" if ":" in host else host
            complain(f"exporter: http://{where}:{server.server_address[1]}/metrics")
            server.serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= _MOST_PORT):
        raise UsageError(f"--listen '{text}': not ADDRESS:PORT; give one such as 127.0.0.1:9464 or [::1]:9464")
    return host, int(port)


def _write(path: Path, data: bytes) -> None:
    try:
        files.replace(path, data)
    except OSError as fault:
        raise NotSupported(f"{path}: cannot be written ({fault.strerror}); give another file") from None
