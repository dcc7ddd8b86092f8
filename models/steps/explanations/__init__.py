"""What explanations on demand are given: the explainer's bundle, what came out, what may change."""
