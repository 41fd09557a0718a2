"""Neural networks that run inside the Linux kernel."""
