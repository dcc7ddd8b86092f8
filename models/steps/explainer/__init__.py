"""What the explainer is given: every predictor's artifact, and days that stand for what is usual."""
