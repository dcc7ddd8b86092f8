"""What people look at: the experiment, predictions step by step, explanations, features, models."""
