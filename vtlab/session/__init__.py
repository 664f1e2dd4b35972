"""Session: key figures that a person gave, predictions between them, and the rules by which they meet."""

from vtlab.session.session import (
    UNDO_STEPS,
    Key,
    Session,
    State,
)

__all__ = [
    "UNDO_STEPS",
    "Key",
    "Session",
    "State",
]
