"""The triggers and inputs that ebpfnn ships. They are plugins like any other."""

EBPFNN_ABI = 2
