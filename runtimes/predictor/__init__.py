"""Serves a trained model: an artifact read and checked, and MLServer's runtime around it."""
