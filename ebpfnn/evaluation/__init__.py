"""Evaluates a network in floats, in integers and in the kernel: figures, pictures, and a report."""
