"""Ring buffers and perf buffers."""
