"""Benchmarks that run from a checkout, with chains of their own making."""
