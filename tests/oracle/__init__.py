"""An oracle for the arithmetic of networks, which shares nothing with the code that it judges but the public data classes.

``arithmetic`` is docs/quantization.md, written down anew; ``generate`` makes networks and ``corners`` their samples; ``ways``
are the bodies and triggers that a network runs by, and ``judge`` holds each to the arithmetic. ``make oracle`` runs it for as
long as it is told; docs/testing.md has more.
"""
