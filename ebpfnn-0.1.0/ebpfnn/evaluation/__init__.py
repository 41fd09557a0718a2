"""How good a network is, in floats, in integers and in the kernel: figures, pictures, a page."""
