"""An oracle for specs: docs/events.md, *A spec*, and the kind ``columns`` of docs/preparation.md, written down anew.

``meaning``, ``reducers``, ``machine`` and ``encoders`` are the arithmetic, which keeps all values of each column and computes
each result from them. ``worlds`` are the fields of events, ``generate`` makes specs, ``edges`` are specs at the limits,
``refusals`` specs beyond them, ``sequences`` are events and ``frames`` packets, ``encodings`` and ``networks`` follow rows.
``judge`` holds the twin and the kernel to the arithmetic with ``==``.
"""
