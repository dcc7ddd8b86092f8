"""Reports as jobs: what takes too long, or too large an environment, to be done on the way."""
