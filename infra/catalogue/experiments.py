"""The experiments: how traffic is split between models."""

from infra import seldon

FINANCIAL_MAB = seldon.Experiment(
    metadata=seldon.ObjectMeta(name="financial-mab-experiment"),
    spec=seldon.ExperimentSpec(
        candidates=(
            seldon.Candidate(name="baseline-predictor", weight=40),
            seldon.Candidate(name="enhanced-predictor", weight=30),
            seldon.Candidate(name="transformer-predictor", weight=20),
            seldon.Candidate(name="ensemble-predictor", weight=10),
        ),
    ),
)
"""The four arms. It has no `default`: asked by its own name, a model answers itself, not the split."""

EXPERIMENTS = (FINANCIAL_MAB,)
