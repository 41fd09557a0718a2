"""Instances that a file declares: `ebpfnn apply`. docs/operations.md is the guide."""
