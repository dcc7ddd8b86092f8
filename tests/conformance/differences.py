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
- A pipeline that changes in place answers all the time, first as before and then as changed;
  Seldon may answer 503 until it is removed and loaded again.
- A model that a pipeline uses, and a pipeline that an experiment or another pipeline uses,
  can neither be removed nor changed into what cannot be loaded.
- `allowCycles` is refused, and so are pipelines that feed each other through `externalInputs`;
  on Seldon the data of such pipelines goes round for ever.
- A trigger of a step that does not exist is refused; Seldon's scheduler falls over it.
- `output.tensorMap` acts; Seldon's operator loses it on its way to the scheduler.
- A step whose model is an experiment's default is split, but not mirrored.
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
    r'\{"asked":\{.*"path":".*"error":".+","list":\{.*/experiments".*/models".*/pipelines"\}\}\n'
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

_EVERY_STEP = (
    "the routes of steps that run side by side overwrite each other in Seldon's Kafka headers; "
    "here every step that ran has its line"
)
_JSON_TYPE = (
    "Seldon's gateway lets Go guess a JSON answer's content type, which says text/plain; "
    "here it is application/json, so that clients can tell an answer from an error's text"
)
_NO_ANSWER = (
    "Seldon never answers what no step can answer; here it is an error at once that says why"
)
_SAYS_WHY = "Seldon's 400 has an empty body; here it says what is wrong with the request"
_PIPELINE_READY = (
    "Seldon says 424 of a pipeline whose answer is 200; here it is ready when its steps are"
)
_CALLS = "Seldon had been asked more often before: its Envoy and its agent repeat failed requests"
_TRIGGER_AND_INPUT = (
    "Seldon's scheduler has a rule against the same source as input and trigger, and means it to "
    "act: it compares a step's name with a whole reference, which never are the same; here the "
    "same reference in both is refused, with that rule's words"
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
    Difference(
        "pipelines",
        (
            "chain2",
            "chain2 by pipelines path",
            "chain2 by models path + .pipeline",
            "chain2 with x-request-id",
            "chain2 custom x- header",
            "two",
            "join inner",
            "cond 0",
            "cond 1",
            "cond 0 again",
            "trigger ok1",
            "trigger ok2",
            "trigger ok3",
            "pipeline experiment",
        ),
        {"header content-type": "application/json"},
        _JSON_TYPE,
    ),
    Difference(
        "pipelines",
        ("two", "join inner"),
        {"header x-seldon-route": r":mul10_1:,:add10_1:,(:sum2_1:,)?:(two|joinp)\.pipeline:"},
        _EVERY_STEP,
    ),
    Difference(
        "pipelines",
        ("chain2 with x-request-id",),
        {"header x-request-id": "my-req-1"},
        "Seldon puts its Kafka key, with the partition and the pipeline, before the id of the "
        "request; here the id that a caller sent comes back as it was sent",
    ),
    Difference(
        "pipelines",
        ("chain2 with x-seldon-route",),
        {"body": _SAYS_WHAT_AND_WHERE},
        _BARE_404,
    ),
    Difference(
        "pipelines",
        (
            "chain2 ready models path",
            "chain2 ready pipelines path",
            "chain2 ready pipelines path + header",
        ),
        {"status": "200", "body": r'\{"ready":true\}'},
        _PIPELINE_READY,
    ),
    Difference(
        "pipelines",
        ("chain2 metadata",),
        {
            "status": "200",
            "header content-type": "application/json",
            "body": r'\{"name": "chain2", .*"steps": \[\{"name": "mul10".*',
        },
        "Seldon has no metadata of pipelines; here it names the steps and who answers for them",
    ),
    Difference(
        "pipelines",
        ("chain2 invalid json", "chain2 empty body"),
        {"body": r'\{"error": "the body is not valid JSON: .+"\}'},
        _SAYS_WHY,
    ),
    Difference(
        "pipelines",
        ("chain2 unknown datatype",),
        {"body": r'\{"error": "the body is no inference request: inputs\.0\.datatype: .+FLOAT.*'},
        _SAYS_WHY,
    ),
    Difference(
        "pipelines",
        ("chain2 empty inputs",),
        {"status": "400", "body": "pipeline chain2: the request has no tensors: .+"},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("chain2 no inputs key",),
        {"status": "400", "body": r'\{"error": ".+inputs: Field required.+"\}'},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("chain2 string data for FP32",),
        {
            "status": "400",
            "header content-type": "application/json",
            "body": r'\{"error": "tensor .INPUT.: .x. is no value of datatype FP32"\}',
        },
        "Seldon's gateway panics; here the request is refused with the value that is none",
    ),
    Difference(
        "pipelines",
        ("chain2 shape does not fit",),
        {
            "status": "400",
            "header x-pipeline-version": "null",
            "header x-seldon-route": r":chain2\.pipeline:",
            "header content-type": "application/json",
            "body": r'\{"error": "tensor .INPUT.: shape \[5\] takes 5 values, got 1; .+"\}',
        },
        "Seldon fills the missing values with zeros in silence, and forecasts from them; "
        "here the request is refused",
    ),
    Difference(
        "pipelines",
        ("err1",),
        {"body": "boom : rpc error: code = Internal desc = builtins.ValueError: boom: calls=1"},
        _CALLS,
    ),
    Difference(
        "pipelines",
        ("ghostp",),
        {"status": "503", "body": "pipeline ghostp .+ model ghost is not loaded"},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("noout",),
        {"status": "400", "body": "pipeline noout has no output.+"},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("cond neither branch",),
        {"status": "400", "body": "pipeline cond has no answer: .+no tensor OUTPUT0.+"},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("trigger none given",),
        {"status": "400", "body": "pipeline trig has no answer: .+no tensor ok1 or ok2.+"},
        _NO_ANSWER,
    ),
    Difference(
        "pipelines",
        ("selfin B missing",),
        {"status": "404", "body": _SAYS_WHAT_AND_WHERE},
        "the recording does not say what pipeline selfin is, so that it is not there; a tensor "
        "that is missing is asked for in test_pipelines.py",
    ),
    Difference(
        "pipelines",
        ("pipeline experiment sticky",),
        {
            "status": "200",
            "header x-seldon-route": r":mul10_1:,:pa\.pipeline:",
            "body": r'\{"model_name":"",.*\[10(\.0)?,20(\.0)?,30(\.0)?,40(\.0)?\].*\}',
        },
        "Seldon answers 503 to whoever sticks to a pipeline's arm, as its Envoy asks a cluster "
        "that there is not; here the arm answers",
    ),
    Difference(
        "pipelines",
        ("unloaded pipeline",),
        {"status": "404", "header x-seldon-route": "null", "body": _SAYS_WHAT_AND_WHERE},
        "Seldon leaves the route of a removed pipeline behind, which then answers 503; "
        "here it is gone, as an unknown name is",
    ),
    Difference(
        "validation",
        ("LoadPipeline same step input and trigger",),
        {
            "outcome": "refused: pipeline v3 : inputs and triggers must differ, "
            "but found mul10.outputs in both"
        },
        _TRIGGER_AND_INPUT,
    ),
    Difference(
        "validation",
        ("grpc exception",),
        {"message": "builtins.ValueError: boom: calls=1"},
        _CALLS,
    ),
    Difference(
        "validation",
        ("grpc pipeline error",),
        {"message": "boom : rpc error: code = Internal desc = builtins.ValueError: boom: calls=2"},
        _CALLS,
    ),
    Difference(
        "validation",
        ("grpc unknown model", "grpc no header"),
        {"message": r"nothing that is served is called .+/models, .+/pipelines, .+/experiments"},
        "Seldon's UNIMPLEMENTED says nothing; here it says what was asked and where to list names",
    ),
    Difference(
        "validation",
        ("grpc pipeline",),
        {"initial x-forwarded-proto": "null"},
        "a header that Seldon's Envoy adds to a request comes back from Seldon's gateway as if it "
        "were the caller's; here Envoy keeps it to itself",
    ),
)
