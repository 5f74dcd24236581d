"""The loops that move blocks from chain to ledger."""
