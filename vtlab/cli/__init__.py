"""The command line."""

from vtlab.cli.app import (
    app,
    main,
)

__all__ = [
    "app",
    "main",
]
