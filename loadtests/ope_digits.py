"""Off-policy estimators on scikit-learn's digits, as Open Bandit Pipeline's example has it.

`python -m loadtests.ope_digits`, in the serving environment (which has scikit-learn), does for each
line of JSON `{"run": I}` the protocol's run I, and answers with each estimator's relative error:
with our reward model, and with the example's. The example is st-tech/zr-obp's
`examples/multiclass/evaluate_off_policy_estimators.py`, with the options of its README:

a classification is a bandit (right class: reward 1); 70 % of the rows are for evaluation; the
logging policy is 0.4 of a logistic regression and the rest even, the target policy 0.9 of a random
forest; predictions are cross-fitted over 3 folds; run I is random state I.
"""

import dataclasses
import json
import sys
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray
from sklearn import datasets, ensemble, linear_model, model_selection

from runtimes.bandit import offpolicy, reward_model

Array = NDArray[np.float64]

RANDOM_STATE = 12345
ARMS = 10
EVALUATION_SHARE = 0.7
LOGGING_SHARE, TARGET_SHARE = 0.4, 0.9
FOLDS = 3

LOGISTIC = {"max_iter": 10_000, "C": 100, "random_state": RANDOM_STATE}
FOREST = {
    "n_estimators": 30,
    "max_depth": 5,
    "min_samples_leaf": 10,
    "random_state": RANDOM_STATE,
}
BOOSTING = FOREST | {"learning_rate": 0.01}


@dataclasses.dataclass(frozen=True)
class Logged:
    """One run's log: contexts [n, 64], arms [n], rewards [n], both policies [n, 10], the truth."""

    contexts: Array
    arms: NDArray[np.int64]
    rewards: Array
    logging: Array
    target: Array
    value: float
    """Of the target policy: known, because the classes are."""

    def evaluate(self, predicted: Array) -> offpolicy.Evaluation:
        """Estimate the target policy's value from what was logged."""
        taken = self.logging[np.arange(len(self.arms)), self.arms]
        return offpolicy.evaluate(
            offpolicy.Log(self.arms, self.rewards, taken, self.target, predicted)
        )


def logged(run: int) -> Logged:
    """Make the log of a run."""
    images, classes = datasets.load_digits(return_X_y=True)
    fitted_on, contexts, fitted_to, truth = model_selection.train_test_split(
        images, classes, test_size=EVALUATION_SHARE, random_state=run
    )
    rows = np.arange(len(truth))

    def policy(classifier: Any, share: float) -> Array:
        chances = np.full((len(truth), ARMS), (1 - share) / ARMS)
        chances[rows, classifier.fit(fitted_on, fitted_to).predict(contexts)] += share
        return chances

    logging = policy(linear_model.LogisticRegression(**LOGISTIC), LOGGING_SHARE)
    drawn = np.random.RandomState(run).uniform(size=(len(truth), 1))
    arms = (logging.cumsum(axis=1) > drawn).argmax(axis=1)
    target = policy(ensemble.RandomForestClassifier(**FOREST), TARGET_SHARE)
    value = float(target[rows, truth].mean())
    return Logged(contexts, arms, (arms == truth).astype(float), logging, target, value)


def boosted(log: Logged) -> Array:
    """Predict rewards as the example does: gradient boosting over the image and the arm."""
    arms = np.eye(ARMS)
    given = np.column_stack([log.contexts, arms[log.arms]])
    predicted = np.empty((len(log.arms), ARMS))
    folds = model_selection.KFold(FOLDS, shuffle=True, random_state=RANDOM_STATE)
    for rest, held in folds.split(given):
        model = ensemble.GradientBoostingClassifier(**BOOSTING).fit(given[rest], log.rewards[rest])
        for arm in range(ARMS):
            asked = np.column_stack([log.contexts[held], np.tile(arms[arm], (len(held), 1))])
            predicted[held, arm] = model.predict_proba(asked)[:, 1]
    return predicted


def measure(run: int) -> dict[str, Any]:
    """Do a run: each estimator's relative error, and whether its interval holds the truth."""
    log = logged(run)
    ours = reward_model.cross_fitted(
        log.arms, log.rewards, ARMS, log.contexts, folds=FOLDS, seed=RANDOM_STATE
    )
    own, example = log.evaluate(ours), log.evaluate(boosted(log))
    return {
        "own": {name: _error(each, log) for name, each in own.estimates.items()},
        "example": {name: _error(each, log) for name, each in example.estimates.items()},
        "held": {
            name: each.lower <= log.value <= each.upper for name, each in own.estimates.items()
        },
        "effective_sample_size": own.effective_sample_size,
        "rows": own.rows,
    }


def _error(estimate: offpolicy.Estimate, log: Logged) -> float:
    return abs(estimate.value / log.value - 1)


def main() -> int:
    """Measure until the input ends."""
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    with threadpoolctl.threadpool_limits(1):  # matrices are small: threads cost more than they give
        for line in sys.stdin:
            sys.stdout.write(json.dumps(measure(json.loads(line)["run"])) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
