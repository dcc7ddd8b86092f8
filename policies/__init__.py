"""What no environment may do: the rules, their severity per kind of environment, the Pulumi policy pack.

The rules import nothing of Pulumi: `pack.py` hands them to the engine, `judge.py` to everything else.
"""
