"""What instances count, for Prometheus. docs/operations.md is the guide."""
