"""An evaluation as a single page, without other files, scripts or network access."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import files
from ..errors import Error, NotSupported
from ..network import QuantizedNetwork
from ..network.cascades import one_unit
from . import cascades, pictures, plots
from .evaluate import Evaluation
from .layer_table import layer_rows
from .summary import summary

PAGE, PICTURE, FIGURES = "index.html", "mistakes.png", "eval.json"
WORST = 40
"""The number of mistakes that are shown."""
_MOST_TILES = 64
_TEMPLATES = Path(__file__).parent / "templates"
_KNOWN = re.compile(r"index\.html|mistakes\.png|eval\.json")


def write(of: Evaluation, directory: Path) -> None:
    """Makes ``directory`` the report: index.html, eval.json, and if samples are pictures, mistakes.png. Replaces an old report.

    Raises :class:`Error` if the directory holds anything else or cannot be written, :class:`NotSupported` without Jinja.
    """
    contents = {PAGE: render(of).encode(), FIGURES: (json.dumps(summary(of), indent=2) + "\n").encode()}
    if pictures.is_picture(of.network.input_shape) and len(of.mistakes):
        contents[PICTURE] = pictures.png(_worst(of))
    put(directory, contents)


def put(directory: Path, contents: dict[str, bytes]) -> None:
    """Makes ``directory`` a report of ``contents``, files by name. Raises as :func:`write`."""
    check(directory)
    with _writing(directory):
        files.replace_directory(directory, contents)


def check(directory: Path) -> None:
    """Raises :class:`Error` if the directory holds anything but a report, :class:`NotSupported` without Jinja.

    It is called before a long evaluation rather than after it.
    """
    if find_spec("jinja2") is None:
        raise NotSupported("a report: jinja2 is not installed; pip install 'ebpfnn[report]'")
    with _writing(directory):
        for stranger in files.strangers(directory, _KNOWN):
            raise Error(f"{directory}: contains {stranger!r}, which is not part of a report; give another directory")


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "give a new name in a directory you may write to"
        raise Error(f"{directory}: cannot be written ({error.strerror}); {remedy}") from error


def render(of: Evaluation) -> str:
    """The page, made by Jinja. :func:`check` made sure that it is installed."""
    return fill("report.html", _shown(of))


def fill(template: str, shown: dict[str, Any]) -> str:
    """The page that ``template`` makes of ``shown``."""
    import jinja2

    loader = jinja2.FileSystemLoader(_TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "count": _count}
    return environment.get_template(template).render(**shown)


def _shown(of: Evaluation) -> dict[str, Any]:
    """The values for the template."""
    network = of.network if isinstance(of.network, QuantizedNetwork) else None
    tiles = list(pictures.weight_images(network)) if network else []
    return {
        "of": of,
        "network": of.network,
        "images": len(of.samples),
        "correct": {column: of.correct(column) for column in of.columns},
        "figures": summary(of),
        "heat": plots.heat(of.confusion),
        "histogram": plots.margin_histogram(of),
        "tiles": [pictures.address(tile) for tile in tiles[:_MOST_TILES]],
        "all_tiles": len(tiles),
        "mistakes": _mistakes(of),
        "layers": layer_rows(network) if network else [],
        "stages": cascades.stages(of),
        "further": [(each, layer_rows(each)) for each in network.stages[1:]] if network else [],
        "scale": one_unit(of.network.score_scales),
    }


def _mistakes(of: Evaluation) -> list[dict[str, Any]]:
    """The worst mistakes, with the values that are shown for each."""
    seen = pictures.is_picture(of.network.input_shape)
    return [
        {
            **told,
            "picture": pictures.address(pictures.sample_image(of.samples[told["index"]])) if seen else None,
        }
        for told in summary(of)["mistakes"][:WORST]
    ]


def _worst(of: Evaluation) -> Any:
    labels, indices = of.network.labels, of.mistakes[:WORST]
    captions = [(labels[of.truth[index]], labels[of.predicted[index]]) for index in indices]
    return pictures.grid(of.samples[indices], captions)


def _percent(share: float | None, digits: int = 2) -> str:
    return "\N{EN DASH}" if share is None else f"{share:.{digits}%}"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
