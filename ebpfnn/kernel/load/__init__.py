"""From an object specification to maps and programs in the kernel."""
