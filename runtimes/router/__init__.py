"""Sends a request to the branch for the market's regime, and takes up whichever branch answered."""
