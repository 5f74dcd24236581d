"""What leaves the ledger."""
