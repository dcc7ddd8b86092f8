"""The features: declared once, computed in batch for training and online for serving."""
