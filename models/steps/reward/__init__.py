"""Reward: takes what forecasts were worth. Nothing is learnt for it."""
