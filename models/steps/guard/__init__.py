"""What is usual, for the guard: an isolation forest, and what the drift watcher compares with."""

PACKAGES = ("scikit-learn",)
