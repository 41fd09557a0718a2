"""Float networks, and how they become integers."""
