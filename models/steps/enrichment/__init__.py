"""The feature store's offline files, and what its stream is seeded with."""

PACKAGES = ("pyarrow",)
