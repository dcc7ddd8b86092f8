"""The model servers and what they can run."""

from infra import seldon

MLSERVER = seldon.Server(
    metadata=seldon.ObjectMeta(name="mlserver"),
    spec=seldon.ServerSpec(
        server_config="mlserver",
        extra_capabilities=(
            "bellwether-predictor",
            "bellwether-features",
            "bellwether-guard",
            "bellwether-router",
            "bellwether-explainer",
            "bellwether-decision",
            "bellwether-bandit",
        ),
        replicas=1,
    ),
)

SERVERS = (MLSERVER,)
