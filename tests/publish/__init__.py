"""What leaves the ledger: explanations and files."""
