"""Golden tests: the main job against contracts, recordings and plain arithmetic, never against its own code."""
