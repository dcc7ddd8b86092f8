"""Router: one branch for a request, by the market's regime. Nothing is learnt for it."""
