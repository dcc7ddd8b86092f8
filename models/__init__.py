"""What we train: one folder = one model; data, features, training, walk-forward evaluation.

`models/<name>/__init__.py` declares a model (`models.declaration`),
`models/<name>/model.py` fits it (`models.fitting`).
Nothing else has to know: folders are discovered.
A predictor meets a model only at its artifact (`runtimes.predictor.artifact`).
"""
