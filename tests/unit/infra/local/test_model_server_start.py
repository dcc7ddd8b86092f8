"""What the model server imports before it is ready: imports are most of its start."""

import json
import subprocess

from infra import paths
from infra.local import toolchain

AFTERWARDS = {"dask", "lime", "matplotlib", "shap", "sklearn"}
"""Libraries of a second and a half, which no forecast needs."""

PROGRAM = """
import json, sys
from infra.local import model_server
from runtimes.predictor import lean_lightgbm
lean_lightgbm.import_lean()
import runtimes.bandit.reward, runtimes.decision.runtime, runtimes.explainer.on_demand
import runtimes.explainer.runtime, runtimes.features.enrichment, runtimes.features.online_only
import runtimes.guard.fallback, runtimes.guard.runtime, runtimes.predictor.runtime
import runtimes.router.forecast, runtimes.router.runtime
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
import sklearn, dask
"""


def test_what_only_explanations_on_demand_need_is_not_imported_before_the_server_is_ready():
    python = toolchain.python_of("serving")
    done = subprocess.run(
        [python, "-c", PROGRAM], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout))
    assert {"feast", "lightgbm", "mlserver"} <= imported
    assert not imported & AFTERWARDS
