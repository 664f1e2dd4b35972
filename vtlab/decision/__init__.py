"""Decision: an honest answer from no labels, a few labels, or full truth."""

from vtlab.decision.answer import State, Verdict
from vtlab.decision.ask import doubtful, verdict
from vtlab.decision.counts import count_error
from vtlab.decision.identity_pairs import IdentityPairs, Pair, View, identity_pairs
from vtlab.decision.recommend import Decision, decide

__all__ = [
    "Decision",
    "IdentityPairs",
    "Pair",
    "State",
    "Verdict",
    "View",
    "count_error",
    "decide",
    "doubtful",
    "identity_pairs",
    "verdict",
]
