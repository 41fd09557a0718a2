"""A trigger of one's own: the tracepoint of getppid(2) runs the network, with the shell that tracepoints have. As root."""

from __future__ import annotations

import os

from ebpfnn_plugins.tracepoint import TracepointTrigger

import ebpfnn
from ebpfnn.kernel import Object, attach_tracepoint
from ebpfnn.plugin import Attachment


class Getppid(TracepointTrigger):
    """Answers whenever the calling thread asks for its parent's process id."""

    name = "getppid"

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        """Attaches to the one event that this trigger knows."""
        del target
        return Attachment(attach_tracepoint(loaded.programs[self.program()], "syscalls", "sys_enter_getppid"), os.getppid)


def main() -> None:
    """Infers the first test digit by the event, and then by the system call itself."""
    images, _ = ebpfnn.read_test()
    network = ebpfnn.load("mnist")
    with ebpfnn.Session(network, Getppid()) as session:
        labels = [session.infer(images[0]).label]
        slot = session.slot()
        slot.sample[...] = images[0]
        for _ in range(3):
            os.getppid()  # the event: the network runs before the call returns
            labels.append(slot.label)
    print(*(network.labels[label] for label in labels))


if __name__ == "__main__":
    main()
