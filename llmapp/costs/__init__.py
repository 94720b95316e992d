"""Money: prices, the ledger of holds and charges, and the guard around every model call; knows no provider and no prompt."""
