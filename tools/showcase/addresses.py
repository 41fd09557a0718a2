"""Where the services of the showcase of flows are: in namespaces without a route out."""

from __future__ import annotations

CLIENT, SERVER, PREFIX = "10.77.0.1", "10.77.0.2", 24
HTTP, SSH, DNS, IPERF = 8080, 2222, 5353, 5201
USER = "guest"
"""The only user of the SSH server. Its password is random, and its name is in no file of the machine's."""
