"""What we build: one folder is one image."""
