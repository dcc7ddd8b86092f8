"""Trying a policy before it serves: the very classes, in environments that are made up."""
