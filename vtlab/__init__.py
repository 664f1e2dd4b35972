"""vtlab."""
