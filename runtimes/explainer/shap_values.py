"""Attributions by the `shap` library (Lundberg and Lee 2017), its additivity check left on.

Lines by `LinearExplainer`, trees by `TreeExplainer` with their own covers, networks twice by
`KernelExplainer` over coalitions of features and channels, ensembles as the weighted sum of
their members.

`TreeExplainer` with a background (interventional) is not used: in shap 0.51 with LightGBM 4.7 it
fails its own check, by up to 0.04 of log volatility.
Nor is `PermutationExplainer`: it is compiled when it is first called, which takes 7 to 20 s of the
server's time; `permutations` does what it does.
"""

import dataclasses

import numpy as np
import shap

from runtimes.predictor import (
    artifact,
    forecast_ensemble,
    forecast_lightgbm,
    forecast_linear,
)

from . import attribution, bundle, permutations

Array = artifact.Array

COALITIONS = 32
"""Coalitions that are played by each group: those of one, two and all but one or two are all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What is explained."""

    features: Array
    """[1, F]"""
    history: Array
    """[1, T, C]"""
    background: bundle.Background
    sampling: permutations.Sampling


def method(estimator: artifact.Estimator) -> str:
    """Name what `attribute` does, for a person."""
    if isinstance(estimator, forecast_linear.Linear):
        return "shap.LinearExplainer"
    if isinstance(estimator, forecast_lightgbm.Trees):
        return "shap.LinearExplainer and shap.TreeExplainer"
    if isinstance(estimator, forecast_ensemble.Ensemble):
        return "shap, weighted sum over members"
    return "shap.KernelExplainer"


def attribute(estimator: artifact.Estimator, row: Row) -> attribution.Attribution:
    """Explain one row of `estimator`.

    Not to be called from two threads at a time: the library draws from numpy's shared generator.
    """
    if isinstance(estimator, forecast_linear.Linear):
        return _line(estimator.log_volatility, row)
    if isinstance(estimator, forecast_lightgbm.Trees):
        return _trees(estimator, row)
    if isinstance(estimator, forecast_ensemble.Ensemble):
        parts = [
            (member.volatility_weight, attribute(member.estimator, row))
            for member in estimator.members
        ]
        return attribution.weighted(parts)
    return _sampled(estimator, row)


def _line(line: forecast_linear.Line, row: Row) -> attribution.Attribution:
    # A masker of its own: the library's would take a hundred rows of the background.
    background = shap.maskers.Independent(row.background.features, len(row.background))
    explainer = shap.LinearExplainer((line.coefficients, line.intercept), background)
    found = explainer(row.features)
    return attribution.Attribution(
        base=float(np.ravel(found.base_values)[0]),
        output=float(line(row.features)[0]),
        contributions=np.concatenate([found.values[0], np.zeros(row.history.shape[2])]),
        days=len(row.background),
    )


def _trees(trees: forecast_lightgbm.Trees, row: Row) -> attribution.Attribution:
    line = _line(trees.line, row)
    explainer = shap.TreeExplainer(trees.log_volatility)
    added = explainer.shap_values(row.features, check_additivity=True)[0]
    contributions = line.contributions.copy()
    contributions[: len(added)] += added
    return attribution.Attribution(
        # The library gives the trees' expectation once it has explained something.
        base=line.base + float(np.ravel(explainer.expected_value)[0]),
        output=line.output + float(trees.log_volatility.predict(row.features, num_threads=1)[0]),
        contributions=contributions,
        days=line.days,
    )


def _sampled(estimator: artifact.Estimator, row: Row) -> attribution.Attribution:
    days = permutations.references(estimator, row.background, row.sampling.references)
    others = row.background.features[days], row.background.history[days]
    one = row.features, row.history

    def worth(coalitions: Array) -> Array:
        return permutations.coalition_values(estimator, coalitions.astype(bool), one, others)

    groups = row.features.shape[1] + row.history.shape[2]
    explainer = shap.KernelExplainer(worth, np.zeros((1, groups)))
    found = []
    for seed in (row.sampling.seed, row.sampling.seed + 1):
        np.random.seed(seed % 2**32)  # noqa: NPY002  # what the library draws from
        found.append(
            explainer.shap_values(
                np.ones((1, groups)), nsamples=COALITIONS * groups, l1_reg=False, silent=True
            )[0]
        )
    return attribution.Attribution(
        base=float(explainer.expected_value),
        output=float(estimator.estimate(*one)[0][0]),
        contributions=np.mean(found, axis=0),
        # Of a mean of two: half their difference.
        sampling_error=float(np.abs(found[0] - found[1]).sum() / 2),
        days=len(days),
    )
