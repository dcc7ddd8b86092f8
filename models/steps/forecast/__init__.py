"""Forecast: takes up whichever branch answered. Nothing is learnt for it."""
