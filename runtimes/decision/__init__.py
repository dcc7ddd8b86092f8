"""Makes a decision of a forecast: how sure it is, which position it allows, and by which rules."""
