"""The ledger. Read in this order: `ledger` what it does, `admission` whether a call may be made, `budgets` and `holds` the rows."""

from llmapp.costs.ledger.ledger import Ledger

__all__ = ["Ledger"]
