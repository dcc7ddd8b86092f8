"""Where this mesh answers otherwise than Seldon, on purpose, and why.

What is not listed here has to be the same; what is listed and does not occur is an error, too.

Different as well, where nothing was recorded, each with a test beside it:

- An inference that takes longer than `request_timeout` (60 s) ends in 504; Seldon waits for ever.
- A body of more than `max_request_bytes` (16 MiB) is refused with 413, over gRPC with
  RESOURCE_EXHAUSTED; Seldon reads it.
- `replicas` above 1 is served by the one model server that there is, and the status says so;
  Seldon would not schedule the model.
- A model that an experiment uses can be neither removed nor changed into what cannot be loaded;
  Seldon lets it go and takes the experiment's route away.
- Back at the spec that still serves after a failed one, nothing is loaded; Seldon loads it again.
- A model that is removed altogether begins at version 1 again; Seldon counts on.
- Names that are not found are told over gRPC too, in the message of UNIMPLEMENTED.
"""

import re
from dataclasses import dataclass

from tests.conformance.replay import Deviation


@dataclass(frozen=True)
class Difference:
    """Steps of a recording that come out otherwise.

    `aspects` are what differs, each with a regular expression for what is seen here.
    """

    recording: str
    steps: tuple[str, ...]
    aspects: dict[str, str]
    reason: str

    def explains(self, deviation: Deviation) -> bool:
        """Say whether a deviation is this difference."""
        return (
            deviation.recording == self.recording
            and deviation.step in self.steps
            and deviation.aspect in self.aspects
            and re.fullmatch(self.aspects[deviation.aspect], deviation.seen, re.DOTALL) is not None
        )


_SAYS_WHAT_AND_WHERE = (
    r'\{"asked":\{.*"path":".*"error":".+","list":\{.*/experiments".*/models"\}\}\n'
)
_BARE_404 = (
    "Seldon's 404 has an empty body; here it names what was asked, and where to list what exists"
)
_THROUGH_THE_MESH = (
    "Seldon's agent answers 400 to everything but inference; here a model's metadata and readiness "
    "can be asked where the model is called, as the Open Inference Protocol has it"
)
_NO_RETRY = (
    "Seldon's Envoy sends a request that failed with a 5xx five more times to the same arm, which "
    "takes seconds and repeats its effects; here only what never reached a model is sent again"
)
_NO_RELOAD = (
    "Seldon's agent reloads a model that answers 400 or 404 and asks again, so that the model "
    "loses what it keeps in memory; here a refused request is a refused request"
)
_ZERO_WEIGHTS = (
    "weights that are all 0 make Envoy refuse the one route configuration, and freeze every later "
    "change of any object; here they are refused, and nothing freezes"
)

_CONTENT_TYPE = (
    "MLServer says of a body in another content type that it is no dictionary; here the answer "
    "names the content type that came and the one that is expected"
)

DIFFERENCES = (
    Difference(
        "models",
        ("wrong content type",),
        {"status": "415", "body": r'\{"detail": "content-type .text/plain. is not served: .+"\}'},
        _CONTENT_TYPE,
    ),
    Difference(
        "models",
        ("metadata", "metadata path only"),
        {
            "status": "200",
            "header content-type": "application/json",
            "body": r'\{"name":"mul10_1",.*"inputs":\[\],"outputs":\[\].*\}',
        },
        _THROUGH_THE_MESH,
    ),
    Difference(
        "models",
        ("ready", "ready path only", "server live with header"),
        {"status": "200", "header content-type": "null", "body": ""},
        _THROUGH_THE_MESH,
    ),
    Difference(
        "models",
        ("server metadata with header",),
        {
            "status": "200",
            "header content-type": "application/json",
            "body": r'\{"name":"mlserver","version":"[\d.]+","extensions":\[\]\}',
        },
        _THROUGH_THE_MESH,
    ),
    Difference(
        "models",
        ("server live no header",),
        {"status": "200"},
        "Seldon routes nothing without a model's name; here liveness and readiness of the server "
        "can be asked, so that a load balancer has something to probe",
    ),
    Difference(
        "models",
        (
            "unknown model",
            "unknown model path only",
            "unknown model ready",
            "unknown experiment",
            "unknown pipeline",
            "unknown pipeline by pipelines path",
            "path outside v2",
            "root",
            "x-seldon-route on plain model",
            "header upper case name value",
        ),
        {"body": _SAYS_WHAT_AND_WHERE},
        _BARE_404,
    ),
    Difference(
        "models",
        ("model InferenceError again",),
        {"body": r'\{"error": "mlserver.errors.InferenceError: bad input: calls=2"\}'},
        _NO_RELOAD,
    ),
    Difference(
        "models",
        ("model exception",),
        {"body": r'\{"error": "builtins.ValueError: boom: calls=1"\}'},
        _NO_RETRY,
    ),
    Difference(
        "models",
        ("model exception again",),
        {"body": r'\{"error": "builtins.ValueError: boom: calls=2"\}'},
        _NO_RETRY,
    ),
    Difference(
        "experiments",
        (
            "experiment name without suffix",
            "sticky stale version",
            "sticky prefix garbage",
            "sticky empty value",
            "sticky to removed candidate",
            "experiment with missing candidate",
            "stopped experiment",
        ),
        {"body": _SAYS_WHAT_AND_WHERE},
        _BARE_404,
    ),
    Difference(
        "experiments",
        ("experiment ready",),
        {"status": "200", "header content-type": "null", "body": ""},
        _THROUGH_THE_MESH,
    ),
    Difference(
        "experiments",
        ("failing arm sticky",),
        {"body": r'\{"error": "builtins.ValueError: boom: calls=1"\}'},
        _NO_RETRY,
    ),
    Difference(
        "experiments",
        ("StartExperiment dot in name",),
        {"outcome": r"refused: Experiment e\.3 does not have a valid name - .*"},
        "Seldon refuses dots in the names of models and pipelines, but not of experiments, where "
        "<name>.experiment can then be read in two ways; here they are refused for all",
    ),
    Difference(
        "experiments",
        ("StartExperiment mirror 150 percent",),
        {"outcome": r"refused: .*spec\.mirror\.percent: Invalid value: 150: .*"},
        "more than all requests cannot be mirrored; Seldon takes it and mirrors all",
    ),
    Difference(
        "experiments",
        ("mirror 150 percent endpoint",),
        {
            "status": "404",
            "body": r'\{"asked": \{.*"error": ".*e3\.experiment.*',
            **dict.fromkeys(
                (
                    "header ce-endpoint",
                    "header ce-id",
                    "header ce-inferenceservicename",
                    "header ce-modelid",
                    "header ce-requestid",
                    "header ce-source",
                    "header ce-specversion",
                    "header ce-type",
                    "header x-seldon-route",
                ),
                "null",
            ),
        },
        "the experiment with a mirror of 150 % was refused, so it is not there",
    ),
    Difference(
        "experiments",
        ("StopExperiment e3",),
        {"outcome": r'refused: experiments\.mlops\.seldon\.io "e3" not found'},
        "the experiment with a mirror of 150 % was refused, so it cannot be removed",
    ),
    Difference(
        "experiments",
        ("StopExperiment unknown",),
        {"message": r'experiments\.mlops\.seldon\.io "nosuch" not found'},
        "the recording asked Seldon's scheduler; objects are removed through Kubernetes' API, "
        "whose words these are",
    ),
    Difference(
        "zero-weights",
        ("StartExperiment z0",),
        {"outcome": r"refused: experiment z0 has no candidate with a weight above 0: .*"},
        _ZERO_WEIGHTS,
    ),
    Difference(
        "zero-weights",
        ("other new experiment z1 created after",),
        {"status": "200", "body": r'\{"model_name":"mul(2|10)_1",.*'},
        _ZERO_WEIGHTS,
    ),
    Difference(
        "zero-weights",
        ("new model slow2, status ModelAvailable",),
        {"status": "200", "body": r'\{"model_name":"slow2_1",.*'},
        _ZERO_WEIGHTS,
    ),
)
