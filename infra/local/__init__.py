"""The catalogue on this machine: the provider, the processes, the mesh."""
