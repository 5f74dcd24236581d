"""The packaged demo chain and the small RPC server that serves it."""
