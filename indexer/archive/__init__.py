"""What endpoints told, as Parquet files named by their content: logs with the filters they answer, and eth_calls."""
