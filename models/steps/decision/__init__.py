"""Decision: learns how sure a forecast is, from forecasts that were tried on later days."""

PACKAGES = ("scikit-learn",)
