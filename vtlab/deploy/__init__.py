"""Deployment: networks exported to files, and the check of a set-up."""
