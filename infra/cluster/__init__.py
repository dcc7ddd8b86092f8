"""The catalogue on Kubernetes with Seldon Core 2, one component a file."""
