"""ebpfnn run by the user nobody, with some capabilities and no others."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOBODY = 65534
# The interpreter, its packages and this checkout may lie where nobody may not look (below /root): they are mounted elsewhere;
# and tracefs' events where they can be reached, as in a tracefs that was mounted for a group, here that of root.
_SCRIPT = """
place=$1 prefix=$2 site=$3 root=$4 traced=$5; shift 5
mount -t tmpfs -o mode=755 tmpfs "$place"
mkdir "$place/python" "$place/site" "$place/root" "$place/events"
mount --bind "$prefix" "$place/python"
mount --bind "$site" "$place/site"
mount --bind "$root" "$place/root"
if [ "$traced" ]; then
    mount --bind "$traced/events" "$place/events"
    mount -t tmpfs -o mode=755 tmpfs "$traced"
    mkdir "$traced/events"
    mount --bind "$place/events" "$traced/events"
fi
cd "$place/root"
exec "$@"
"""


def run(
    place: Path, capabilities: tuple[str, ...], *arguments: str, tracefs: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """``ebpfnn ARGUMENTS`` in the checkout, its mounts in the empty directory ``place`` and gone with it.

    ``tracefs`` is where tracefs is mounted, if its events may be read.
    """
    site, prefix = sysconfig.get_path("purelib"), sys.base_prefix
    python = f"{place}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    change = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    group = _NOBODY if tracefs is None else 0
    command = [
        *("unshare", "--mount", "--propagation", "private", "sh", "-euc", _SCRIPT, "sh"),
        *(str(place), prefix, site, str(ROOT), "" if tracefs is None else str(tracefs)),
        *("setpriv", f"--reuid={_NOBODY}", f"--regid={group}", "--clear-groups"),
        *(f"--inh-caps={change}", f"--ambient-caps={change}", f"--bounding-set={change}"),
        *("env", f"PYTHONHOME={place}/python", f"LD_LIBRARY_PATH={place}/python/lib", "PYTHONDONTWRITEBYTECODE=1"),
        f"PYTHONPATH={place}/root:{place}/root/plugins:{place}/site",
        *(python, "-m", "ebpfnn", *arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
