"""Layers and cascades as text, for `ebpfnn inspect`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def layers(rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    """The tables of the layers ``rows``: :class:`~ebpfnn.evaluation.layer_table.LayerRow` as plain data."""
    numbered = list(enumerate(rows))
    yield from columns(("layer", "kind", "input", "output"), (_kind(number, row) for number, row in numbered))
    yield ""
    heads = ("layer", "parameters", "multiplications", "density", "largest sum", "range")
    yield from columns(heads, (_layer(number, row) for number, row in numbered))
    tables = [(number, row) for number, row in numbered if row["tables"]]
    if tables:
        yield ""
        more = ("layer", "groups", "of", "order", "rows", "stored", "blank", "sums become", "largest sum", "fits the lane")
        yield from columns(more, (_tables(number, row) for number, row in tables))


def wraps(of: Sequence[dict[str, Any]], samples: str) -> Iterable[str]:
    """How often sums left their byte: :class:`~ebpfnn.evaluation.table_facts.Wraps` as plain data, on ``samples``."""
    for each in of:
        yield f"layer {each['layer']}: {each['wrapped']:,} of {each['sums']:,} sums wrapped on {samples}"


def cascade(stages: Sequence[dict[str, Any]]) -> Iterable[str]:
    """The networks of a cascade, each with what goes on to the next."""
    yield f"cascade of {len(stages)} networks: a sample goes on where the best score leads the second by less than the margin"
    heads = ("network", "name", "architecture", "logit of a score", "margin", "in logits", "goes on", "of all")
    yield from columns(heads, (_stage(number, stages) for number in range(len(stages))))


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """``rows`` under ``heads``, as wide as they are."""
    cells = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _kind(number: int, row: dict[str, Any]) -> Sequence[str]:
    sources = row["sources"] or [number - 1]
    of = "" if list(sources) == [number - 1] else "of " + " and ".join("the sample" if n < 0 else f"layer {n}" for n in sources)
    return str(number), " ".join(filter(None, (row["kind"], row["window"], of))), row["given"], row["gives"]


def _layer(number: int, row: dict[str, Any]) -> Sequence[str]:
    share = "" if row["density"] is None else f"{row['density']:.0%}"
    bound = "" if row["bound"] is None else f"{row['bound']:,}"
    return str(number), f"{row['parameters']:,}", f"{row['macs']:,}", share, bound, row["values"]


def _tables(number: int, row: dict[str, Any]) -> Sequence[str]:
    about = row["tables"]
    of = f"{about['members']} x {about['bits']} bit" + ("s" if about["bits"] > 1 else "")
    stored = f"{about['stored']:,} ({about['stored'] / about['rows']:.0%})"
    blank = "" if about["blank"] is None else f"{about['blank']:.0%}"
    become = "integers, requantized"
    if about["shift"] is not None:
        become = "bytes" + (f" >> {about['shift']}" if about["shift"] else "") + (", exact" if about["exact"] else "")
    fits = {None: "", True: "always", False: "not proven; wraps"}[about["fits"]]
    bound = f"{row['bound']:,}" + (" of 127" if about["fits"] is not None else "")
    return (str(number), f"{about['groups']:,}", of, about["order"], f"{about['rows']:,}", stored, blank, become, bound, fits)


def _stage(number: int, stages: Sequence[dict[str, Any]]) -> Sequence[str]:
    its, onward = stages[number], ("", "", "", "")
    if its["margin"] is not None:
        reached = 1.0
        for each in stages[: number + 1]:
            reached *= each["share"]
        logits = its["margin"] * its["score_scale"]
        onward = f"{its['margin']:,}", f"{logits:.3g}", f"{its['share']:.1%}", f"{reached:.1%}"
    return str(number + 1), its["name"], its["architecture"], f"{its['score_scale']:.3g}", *onward
