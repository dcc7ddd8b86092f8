"""What is usual for each symbol: the forecast when its data cannot be trusted."""
