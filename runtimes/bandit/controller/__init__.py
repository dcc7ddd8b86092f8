"""The controller: joins decisions and rewards, learns, and moves an experiment's weights.

`joining` and `state` are pure: the same records in the same epochs give the same state, to the bit.
`loop` is one policy's epochs over Kafka, Valkey and the API server; `__main__` watches policies.
"""
