"""What Seldon's scheduler does on a cluster, on one machine.

Takes Seldon objects over HTTP at Kubernetes' own paths,
loads models into MLServer through its repository API, and writes Envoy's clusters and routes.
Run it with `python -m infra.local.mesh CONFIG.json`, see `settings.Settings`.
"""
