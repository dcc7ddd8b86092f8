"""Explains forecasts: attributions on the path, further methods on demand."""
