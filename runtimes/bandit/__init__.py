"""Bandits: policies that learn from rewards, their controller, the reward model, their judges."""
