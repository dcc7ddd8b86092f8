"""Judges a policy by the records of another one, before it gets traffic.

`splits` says with which probability each decision was made, `joined` what it was worth,
`replaying` what the policy would have done there, `verdict` whether it may act;
`acting` activates and freezes.
"""
