"""Session: key figures that a person gave, predictions between them, and the rules by which they meet."""

from vtlab.session.history import UNDO_STEPS
from vtlab.session.session import Session
from vtlab.session.state import Key, State

__all__ = ["UNDO_STEPS", "Key", "Session", "State"]
