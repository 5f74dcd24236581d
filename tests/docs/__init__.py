"""What the documents say is true: commands, options, tables, queries."""
