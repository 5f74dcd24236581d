"""The only place that speaks to nodes."""
