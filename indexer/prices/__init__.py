"""Dollar prices of tokens, each with its source and age."""
