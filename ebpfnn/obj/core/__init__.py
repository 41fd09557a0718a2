"""CO-RE: relocations of structure accesses against the types of the running kernel."""
