"""Decision: an honest answer from no labels, a few labels, or full truth."""
