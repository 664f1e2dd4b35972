"""Networks: torch modules only, with the parameter names of the official checkpoints."""
