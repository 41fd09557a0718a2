"""An oracle for specs: docs/events.md, *A spec*, and the kind ``columns`` of docs/preparation.md, written down anew.

``meaning``, ``reducers``, ``machine`` and ``encoders`` are the arithmetic, which keeps every value of every column and computes
each result from the list of them. ``worlds`` are the fields of events, ``generate`` makes specs, ``refusals`` specs that must be
refused, ``sequences`` events and ``frames`` packets. ``judge`` holds the twin and the kernel to the arithmetic with ``==``.
"""
