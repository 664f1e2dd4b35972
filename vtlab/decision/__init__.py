"""Decision: an honest answer from no labels, a few labels, or full truth."""

from vtlab.decision.answer import State, Verdict
from vtlab.decision.ask import doubtful, verdict

__all__ = ["State", "Verdict", "doubtful", "verdict"]
