"""Locust users: what callers of the platform do, and what they check of every answer."""
