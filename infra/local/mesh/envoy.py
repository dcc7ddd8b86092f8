"""Envoy's configuration as pure functions of what is served.

Three documents: the bootstrap (once), the clusters, and the routes.
Envoy watches the folders of the last two and takes a file that is renamed into place.

A model version has one cluster for REST and one for gRPC, so that Envoy's statistics,
latency included, are kept per model version; so has a pipeline.
Every cluster leads to the one MLServer;
the header `seldon-internal-model` tells it which model or pipeline is meant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.mesh.settings import HOST, Settings

JsonObject = dict[str, Any]

MODEL_HEADER = "seldon-model"
ROUTE_HEADER = "x-seldon-route"
INTERNAL_HEADER = "seldon-internal-model"

PIPELINE_SUFFIX = "pipeline"
"""What a caller adds to a pipeline's name, after a dot."""

ROUTES_PATH = "/.mesh/routes"
"""Answers 204 with the version of the routes that act, in `ROUTES_VERSION_HEADER`."""

ROUTES_VERSION_HEADER = "x-mesh-routes"

UPSTREAM_IDLE_SECONDS = 30
"""Shorter than the model server's keep-alive."""

_TYPE = "type.googleapis.com/envoy"
_SERVER_CLUSTER = "mlserver"
_GRPC_PREFIX = "/inference.GRPCInferenceService/"
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_ECHO_LIMIT = 200
"""How much of a name that a caller sent is sent back in an error."""


@dataclass(frozen=True, order=True)
class ModelVersion:
    """One version of a model, as MLServer has it."""

    model: str
    version: int

    @property
    def internal_name(self) -> str:
        """MLServer's name for it: `mul10_1`."""
        return f"{self.model}_{self.version}"

    @property
    def route_value(self) -> str:
        """What `x-seldon-route` says: `:mul10_1:`."""
        return f":{self.internal_name}:"

    @property
    def rest_cluster(self) -> str:
        """The name of its cluster for REST."""
        return f"{self.internal_name}_http"

    @property
    def grpc_cluster(self) -> str:
        """The name of its cluster for gRPC."""
        return f"{self.internal_name}_grpc"


@dataclass(frozen=True, order=True)
class ServedPipeline:
    """A pipeline, as the model server executes it."""

    pipeline: str

    @property
    def internal_name(self) -> str:
        """The model server's name for it, and a caller's: `chain.pipeline`."""
        return f"{self.pipeline}.{PIPELINE_SUFFIX}"

    @property
    def route_value(self) -> str:
        """What `x-seldon-route` says at the end: `:chain.pipeline:`."""
        return f":{self.internal_name}:"

    @property
    def rest_cluster(self) -> str:
        """The name of its cluster for REST. Without a dot, which would end it in statistics."""
        return f"{self.pipeline}_{PIPELINE_SUFFIX}_http"

    @property
    def grpc_cluster(self) -> str:
        """The name of its cluster for gRPC."""
        return f"{self.pipeline}_{PIPELINE_SUFFIX}_grpc"


Upstream = ModelVersion | ServedPipeline
"""Who can answer a request."""


@dataclass(frozen=True)
class Share:
    """Who answers, and with which weight, relative to the sum of all weights."""

    upstream: Upstream
    weight: int


@dataclass(frozen=True)
class Target:
    """What a caller can name, and who answers.

    `name` is a model's, `<pipeline>.pipeline`, or `<experiment>.experiment`.
    `mirror_percent` of the requests are copied to `mirror`.
    """

    name: str
    shares: tuple[Share, ...]
    mirror: Upstream | None = None
    mirror_percent: int = 0

    @property
    def paths(self) -> tuple[str, ...]:
        """Below which paths it answers without a header."""
        pipeline = self.name.removesuffix(f".{PIPELINE_SUFFIX}")
        also = (f"/v2/pipelines/{pipeline}",) if pipeline != self.name else ()
        return (f"/v2/models/{self.name}", *also)


@dataclass(frozen=True)
class Routing:
    """Everything that can be called, and what Envoy is told about requests."""

    targets: tuple[Target, ...] = ()
    max_request_bytes: int = 16 * 2**20
    request_timeout: float = 60.0
    objects_url: str = field(default="http://127.0.0.1:9020", compare=False)


def command(envoy: Path, settings: Settings) -> list[str]:
    """Say how Envoy is started.

    One worker thread:
    MLServer is one process and is busy long before one worker is,
    and with one worker new routes act for every caller at the same moment.
    """
    return [
        str(envoy),
        "--config-path",
        str(settings.bootstrap),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]


def bootstrap(settings: Settings) -> JsonObject:
    """Write what Envoy is started with: one listener, and where clusters and routes come from."""
    return {
        "node": {"id": "bellwether", "cluster": "bellwether"},
        "admin": {"address": _address(settings.ports.envoy_admin)},
        "dynamic_resources": {"cds_config": _watched(settings.clusters)},
        "static_resources": {"listeners": [_listener(settings)]},
        # Histograms show what they have counted after a flush only; the bandit's guardrails read them.
        "stats_flush_interval": "1s",
        # Without this Envoy warns that connections are unlimited.
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_TYPE}.extensions.resource_monitors"
                        ".downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": "20000",
                    },
                }
            ]
        },
    }


def clusters(upstreams: Iterable[Upstream], settings: Settings, version: str) -> JsonObject:
    """Write the clusters of these model versions and pipelines, and the one of the server."""
    rest: JsonObject = {"pipe": {"path": str(settings.socket)}}
    grpc = _address(settings.ports.mlserver_grpc)
    resources = [_cluster(_SERVER_CLUSTER, rest, http2=False)]
    for item in upstreams:
        model = {"model": item.internal_name, "route": item.route_value}
        for name, address, http2 in (
            (item.rest_cluster, rest, False),
            (item.grpc_cluster, grpc, True),
        ):
            cluster = _cluster(name, address, http2=http2)
            resources.append({**cluster, "metadata": {"filter_metadata": {"mesh": model}}})
    return _document("cluster.v3.Cluster", resources, version)


def routes(routing: Routing, version: str) -> JsonObject:
    """Write the routes: which request reaches which model version or pipeline."""
    listed: list[JsonObject] = [
        _too_large(routing.max_request_bytes),
        {
            "match": {"path": ROUTES_PATH},
            "direct_response": {"status": 204},
            "response_headers_to_add": [_header(ROUTES_VERSION_HEADER, version)],
        },
    ]
    for target in routing.targets:
        listed.extend(_target_routes(target, routing))
    listed.extend(
        {
            "match": {"path": path, "headers": [_not_named()]},
            "route": {"cluster": _SERVER_CLUSTER, "timeout": _seconds(routing.request_timeout)},
        }
        for path in ("/v2/health/live", "/v2/health/ready")
    )
    configuration = {
        "name": "models",
        "virtual_hosts": [
            {
                "name": "models",
                "domains": ["*"],
                "routes": listed,
                # What a cluster says of itself, so that the routes stay small:
                # Envoy reads all of them at every change of a weight.
                "request_headers_to_add": [
                    _header(INTERNAL_HEADER, "%CLUSTER_METADATA(mesh:model)%")
                ],
                # Appended: a pipeline's answer already says which models its steps led to.
                "response_headers_to_add": [
                    _header(ROUTE_HEADER, "%CLUSTER_METADATA(mesh:route)%", append=True)
                ],
                # Nobody behind Envoy reads them, and each costs the model server time.
                "request_headers_to_remove": [
                    "x-forwarded-proto",
                    "x-envoy-expected-rq-timeout-ms",
                ],
                # Only what never reached the model: a request that did may have had an effect.
                "retry_policy": {
                    "retry_on": "connect-failure,refused-stream,reset-before-request",
                    "num_retries": 2,
                },
            }
        ],
        # A cluster that is not there yet gives 503 for its own model,
        # rather than refusing the routes of all.
        "validate_clusters": False,
    }
    return _document("route.v3.RouteConfiguration", [configuration], version)


def _target_routes(target: Target, routing: Routing) -> Iterable[JsonObject]:
    named = _header_is(MODEL_HEADER, target.name)
    if len(target.shares) > 1:
        for share in target.shares:
            sticky = [named, _header_contains(ROUTE_HEADER, share.upstream.route_value)]
            for match, grpc in ({"path_separated_prefix": "/v2"}, False), (_grpc_path(), True):
                yield {
                    "match": {**match, "headers": sticky},
                    "route": _action((share,), routing, grpc=grpc),
                }
    unbound = {"name": ROUTE_HEADER, "present_match": False}
    rest = _action(target.shares, routing, grpc=False, target=target)
    yield {
        "match": {"path_separated_prefix": "/v2", "headers": [named, unbound]},
        "route": rest,
    }
    for path in target.paths:
        yield {
            "match": {"path_separated_prefix": path, "headers": [_not_named(), unbound]},
            "route": rest,
        }
    yield {
        "match": {**_grpc_path(), "headers": [named, unbound]},
        "route": _action(target.shares, routing, grpc=True, target=target),
    }


def _action(
    shares: Sequence[Share], routing: Routing, *, grpc: bool, target: Target | None = None
) -> JsonObject:
    def cluster(upstream: Upstream) -> str:
        return upstream.grpc_cluster if grpc else upstream.rest_cluster

    action: JsonObject = {"timeout": _seconds(routing.request_timeout)}
    if len(shares) > 1:
        action["weighted_clusters"] = {
            "clusters": [
                {"name": cluster(share.upstream), "weight": share.weight} for share in shares
            ]
        }
    else:
        # One share takes everything, whatever its weight: 0 is for splits.
        action["cluster"] = cluster(shares[0].upstream)
    if target is not None and target.mirror is not None and target.mirror_percent:
        action["request_mirror_policies"] = [
            {
                "cluster": cluster(target.mirror),
                "runtime_fraction": {"default_value": {"numerator": target.mirror_percent}},
                "request_headers_mutations": [
                    {"append": _header(INTERNAL_HEADER, target.mirror.internal_name)},
                    # So that a copy does not pass for a request that an experiment has split.
                    {"remove": MODEL_HEADER},
                ],
            }
        ]
    return action


def _too_large(limit: int) -> JsonObject:
    # Refused by its announced length, before a byte of it is read:
    # a filter that buffers bodies would cost every request.
    # What comes without a length is counted by the model server.
    return {
        "match": {
            "prefix": "/",
            "headers": [
                {
                    "name": "content-length",
                    "range_match": {"start": limit + 1, "end": 2**63 - 1},
                }
            ],
        },
        "direct_response": {"status": 413},
    }


def _listener(settings: Settings) -> JsonObject:
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "rds": {"route_config_name": "models", "config_source": _watched(settings.routes)},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPE}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # would change a digit of the caller's own id
            }
        },
        "skip_xff_append": True,
        "local_reply_config": _local_replies(settings),
    }
    return {
        "name": "gateway",
        "address": _address(settings.ports.gateway),
        # What a mirror can copy, too: Envoy does not mirror a body that it cannot hold.
        "per_connection_buffer_limit_bytes": settings.max_request_bytes,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }


def _local_replies(settings: Settings) -> JsonObject:
    """Give what Envoy answers by itself a body that says what, where and how to mend it."""
    objects = f"http://{HOST}:{settings.ports.mesh}/apis/mlops.seldon.io/v1alpha1/namespaces/"
    objects += settings.namespace
    listing = {kind: f"{objects}/{kind}" for kind in ("models", "pipelines", "experiments")}
    name = f"%REQ({MODEL_HEADER}):{_ECHO_LIMIT}%"
    route = f"%REQ({ROUTE_HEADER}):{_ECHO_LIMIT}%"
    path = f"%REQ(:PATH):{_ECHO_LIMIT}%"
    missing = {"response_flag_filter": {"flags": ["NR"]}}
    is_grpc = {
        "header_filter": {
            "header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
        }
    }
    has_name = {"header_filter": {"header": {"name": MODEL_HEADER, "present_match": True}}}
    has_route = {"header_filter": {"header": {"name": ROUTE_HEADER, "present_match": True}}}
    limit = settings.max_request_bytes
    return {
        "mappers": [
            _mapper(
                _both(missing, is_grpc),
                text=f"nothing that is served is called '{name}' (metadata {MODEL_HEADER}); "
                f"list what is: {', '.join(listing.values())}",
            ),
            _mapper(
                _both(missing, has_route),
                json={
                    "error": f"'{route}' ({ROUTE_HEADER}) is no candidate that '{name}' has now: "
                    f"leave {ROUTE_HEADER} out, or send what a recent answer had there",
                    "asked": {MODEL_HEADER: name, ROUTE_HEADER: route, "path": path},
                    "list": listing,
                },
            ),
            _mapper(
                _both(missing, has_name),
                json={
                    "error": f"'{name}' ({MODEL_HEADER}) is neither a model nor a pipeline "
                    "(<name>.pipeline) nor an experiment (<name>.experiment) that is served, "
                    f"or '{path}' is not below /v2",
                    "asked": {MODEL_HEADER: name, "path": path},
                    "list": listing,
                },
            ),
            _mapper(
                missing,
                json={
                    "error": f"'{path}' names no model or pipeline that is served: "
                    "ask for /v2/models/<model>/infer or /v2/pipelines/<pipeline>/infer, "
                    f"or name it in the header {MODEL_HEADER}",
                    "asked": {"path": path},
                    "list": listing,
                },
            ),
            _mapper(
                _status("EQ", 413),
                json={
                    "error": f"the body has %REQ(CONTENT-LENGTH)% bytes, the limit is {limit}: "
                    "send fewer rows at once, or gRPC with raw contents, "
                    "or raise max_request_bytes",
                    "limit_bytes": limit,
                },
            ),
            _mapper(
                _status("EQ", 504),
                json={
                    "error": f"no answer within {settings.request_timeout:g} s: "
                    "send fewer rows at once, or raise request_timeout"
                },
            ),
            _mapper(
                _status("GE", 500),
                json={
                    "error": "the model server does not answer (%RESPONSE_FLAGS%): "
                    "it is restarted by itself, try again in a few seconds"
                },
            ),
            _mapper(_status("GE", 400), json={"error": "%LOCAL_REPLY_BODY%"}),
        ]
    }


def _mapper(
    condition: JsonObject, *, json: JsonObject | None = None, text: str | None = None
) -> JsonObject:
    override: JsonObject
    override = (
        {"json_format": json} if text is None else {"text_format_source": {"inline_string": text}}
    )
    return {"filter": condition, "body_format_override": override}


def _both(*conditions: JsonObject) -> JsonObject:
    return {"and_filter": {"filters": list(conditions)}}


def _status(operator: str, code: int) -> JsonObject:
    value = {"default_value": code, "runtime_key": f"mesh.local_reply.{operator}.{code}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _cluster(name: str, address: JsonObject, *, http2: bool) -> JsonObject:
    protocol: JsonObject = (
        {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    )
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
            ]
        },
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: {
                "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{UPSTREAM_IDLE_SECONDS}s"},
                "explicit_http_config": protocol,
            }
        },
    }


def _document(kind: str, resources: list[JsonObject], version: str) -> JsonObject:
    kind = f"{_TYPE}.config.{kind}"
    return {
        "version_info": version,
        "resources": [{"@type": kind, **resource} for resource in resources],
    }


def _watched(path: Path) -> JsonObject:
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(path),
            "watched_directory": {"path": str(path.parent)},
        },
    }


def _address(port: int) -> JsonObject:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}s"


def _header(name: str, value: str, *, append: bool = False) -> JsonObject:
    return {
        "header": {"key": name, "value": value},
        "append_action": ("APPEND_IF_EXISTS_OR_ADD" if append else "OVERWRITE_IF_EXISTS_OR_ADD"),
    }


def _header_is(name: str, value: str) -> JsonObject:
    return {"name": name, "string_match": {"exact": value}}


def _header_contains(name: str, value: str) -> JsonObject:
    return {"name": name, "string_match": {"contains": value}}


def _not_named() -> JsonObject:
    """Match a request that names nothing by header: the header is absent, or empty."""
    return {
        "name": MODEL_HEADER,
        "string_match": {"exact": ""},
        "treat_missing_header_as_empty": True,
    }


def _grpc_path() -> JsonObject:
    return {"prefix": _GRPC_PREFIX}
