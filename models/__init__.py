"""What we train: one folder is one model."""
