"""Watches predictions: where each stands among others, what came true, what it was worth.

It reads the environment's topics and keeps what it saw in files that can be queried.
"""
