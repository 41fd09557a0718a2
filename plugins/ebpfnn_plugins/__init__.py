"""The triggers and inputs that come with ebpfnn: plugins as anyone's."""

EBPFNN_ABI = 2
