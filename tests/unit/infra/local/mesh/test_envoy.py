import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.local.mesh import envoy
from infra.local.mesh.envoy import ModelVersion, Routing, ServedPipeline, Share, Target
from infra.local.mesh.settings import Ports, Settings

ENVOY = Path(__file__).resolve().parents[5] / ".venv" / "bin" / "envoy"

A, B = ModelVersion("a", 1), ModelVersion("b", 2)
SPLIT = Target("e.experiment", (Share(A, 40), Share(B, 60)), mirror=A, mirror_percent=25)
PLAIN = Target("a", (Share(A, 0),))
P, Q = ServedPipeline("p"), ServedPipeline("q")
OVER_PIPELINES = Target("o.experiment", (Share(P, 30), Share(Q, 70)), mirror=Q, mirror_percent=5)
PIPELINE = Target("p.pipeline", (Share(P, 1),))


def _settings(folder: Path) -> Settings:
    return Settings(state_dir=folder, ports=Ports(gateway=29_000, mlserver_grpc=29_011))


def _routes(*targets: Target) -> list[dict[str, Any]]:
    document = envoy.routes(Routing(targets), "7")
    assert document["version_info"] == "7"
    ((configuration,),) = [document["resources"]]
    found: list[dict[str, Any]] = configuration["virtual_hosts"][0]["routes"]
    return found


def _headers(route: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in route["match"].get("headers", [])}


def _to(routes: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Pick the routes of what a header names."""
    return [
        route
        for route in routes
        if _headers(route).get("seldon-model", {}).get("string_match") == {"exact": name}
    ]


def test_names_are_seldons() -> None:
    assert B.internal_name == "b_2"
    assert B.route_value == ":b_2:"
    assert (B.rest_cluster, B.grpc_cluster) == ("b_2_http", "b_2_grpc")


def test_envoy_takes_what_is_written(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    routing = Routing((SPLIT, PLAIN, OVER_PIPELINES, PIPELINE))
    for path, document in (
        (settings.bootstrap, envoy.bootstrap(settings)),
        (settings.clusters, envoy.clusters((A, B, P, Q), settings, "1")),
        (settings.routes, envoy.routes(routing, "1")),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    # Validation does not read what is watched: the same documents, written in place.
    static = envoy.bootstrap(settings)
    resources = static.pop("dynamic_resources")
    assert str(settings.clusters) in json.dumps(resources)
    clusters = envoy.clusters((A, B), settings, "1")["resources"]
    static["static_resources"]["clusters"] = [
        {key: value for key, value in each.items() if key != "@type"} for each in clusters
    ]
    (chain,) = static["static_resources"]["listeners"][0]["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    assert str(settings.routes) in json.dumps(manager.pop("rds"))
    (configuration,) = envoy.routes(routing, "1")["resources"]
    manager["route_config"] = {key: configuration[key] for key in configuration if key != "@type"}
    written = tmp_path / "static.json"
    written.write_text(json.dumps(static))
    done = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", written, "--log-level", "error"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_everything_listens_on_this_machine_only(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    text = json.dumps([envoy.bootstrap(settings), envoy.clusters((A,), settings, "1")])
    addresses = {
        part.split('"')[2] for part in text.split('"address": {"socket_address": {"addre')[1:]
    }
    assert addresses == {"127.0.0.1"}


def test_a_split_has_one_weighted_route_for_rest_by_header_and_path_and_one_for_grpc() -> None:
    routes = _routes(SPLIT)
    weighted = [route for route in routes if "weighted_clusters" in route.get("route", {})]
    assert [
        [(each["name"], each["weight"]) for each in route["route"]["weighted_clusters"]["clusters"]]
        for route in weighted
    ] == [
        [("a_1_http", 40), ("b_2_http", 60)],
        [("a_1_http", 40), ("b_2_http", 60)],
        [("a_1_grpc", 40), ("b_2_grpc", 60)],
    ]
    for route in weighted:
        unbound = {"name": "x-seldon-route", "present_match": False}
        assert _headers(route)["x-seldon-route"] == unbound


def test_stickiness_comes_first_in_the_order_of_candidates_without_a_mirror() -> None:
    named = _to(_routes(SPLIT), "e.experiment")
    sticky = [
        (_headers(route)["x-seldon-route"]["string_match"]["contains"], route["route"]["cluster"])
        for route in named[:4]
    ]
    assert sticky == [
        (":a_1:", "a_1_http"),
        (":a_1:", "a_1_grpc"),
        (":b_2:", "b_2_http"),
        (":b_2:", "b_2_grpc"),
    ]
    assert [("request_mirror_policies" in route["route"]) for route in named] == [False] * 4 + [
        True
    ] * 2


def test_a_mirror_is_told_which_model_it_is() -> None:
    route = _to(_routes(SPLIT), "e.experiment")[-2]["route"]
    (mirror,) = route["request_mirror_policies"]
    assert mirror["cluster"] == "a_1_http"
    assert mirror["runtime_fraction"]["default_value"]["numerator"] == 25
    header = mirror["request_headers_mutations"][0]["append"]["header"]
    assert header == {"key": "seldon-internal-model", "value": "a_1"}
    assert {"remove": "seldon-model"} in mirror["request_headers_mutations"], (
        "a copy does not pass for a request that the experiment has split"
    )


def test_a_single_share_needs_no_weight_and_sticks_to_nothing() -> None:
    named = _to(_routes(PLAIN), "a")
    assert [route["route"]["cluster"] for route in named] == ["a_1_http", "a_1_grpc"]
    assert all(not _headers(route)["x-seldon-route"].get("string_match") for route in named)


def test_a_mirror_of_nothing_is_no_mirror() -> None:
    target = Target("e.experiment", (Share(A, 1),), mirror=B, mirror_percent=0)
    assert "request_mirror_policies" not in json.dumps(_routes(target))


def test_a_cluster_says_which_model_it_is(tmp_path: Path) -> None:
    document = envoy.clusters((A,), _settings(tmp_path), "1")
    metadata = {
        each["name"]: each.get("metadata", {}).get("filter_metadata", {}).get("mesh")
        for each in document["resources"]
    }
    told = {"model": "a_1", "route": ":a_1:"}
    assert metadata == {"mlserver": None, "a_1_http": told, "a_1_grpc": told}


def test_the_upstream_connection_is_given_up_before_the_model_server_does() -> None:
    from infra.local.mesh.settings import ModelServerSettings  # noqa: PLC0415 - used here only

    server = ModelServerSettings(repository=Path("/r"))
    assert server.keep_alive > envoy.UPSTREAM_IDLE_SECONDS


@pytest.mark.parametrize("limit", [1024, 2**24])
def test_a_body_over_the_limit_is_refused_by_its_length(limit: int) -> None:
    document = envoy.routes(Routing((), max_request_bytes=limit), "1")
    first = document["resources"][0]["virtual_hosts"][0]["routes"][0]
    assert first["direct_response"]["status"] == 413
    assert first["match"]["headers"][0]["range_match"]["start"] == limit + 1


def test_a_pipeline_answers_to_its_header_and_to_two_paths() -> None:
    paths = {
        route["match"]["path_separated_prefix"]
        for route in _routes(PIPELINE)
        if route.get("route", {}).get("cluster") == "p_pipeline_http"
    }
    assert paths == {"/v2", "/v2/models/p.pipeline", "/v2/pipelines/p"}
    rest, grpc = _to(_routes(PIPELINE), "p.pipeline")
    assert rest["route"] == {"timeout": "60.000s", "cluster": "p_pipeline_http"}
    assert grpc["route"] == {"timeout": "60.000s", "cluster": "p_pipeline_grpc"}


def test_a_pipelines_cluster_names_it_as_callers_do(tmp_path: Path) -> None:
    listed = envoy.clusters((P,), _settings(tmp_path), "1")["resources"]
    metadata = {
        each["name"]: each["metadata"]["filter_metadata"]["mesh"]
        for each in listed
        if "metadata" in each
    }
    named = {"model": "p.pipeline", "route": ":p.pipeline:"}
    assert metadata == {"p_pipeline_http": named, "p_pipeline_grpc": named}


def test_the_route_is_added_to_those_that_a_pipeline_tells() -> None:
    document = envoy.routes(Routing((PIPELINE,)), "1")
    ((configuration,),) = [document["resources"]]
    (added,) = configuration["virtual_hosts"][0]["response_headers_to_add"]
    assert added["header"]["key"] == "x-seldon-route"
    assert added["append_action"] == "APPEND_IF_EXISTS_OR_ADD"


def test_an_experiment_over_pipelines_sticks_and_mirrors_as_one_over_models_does() -> None:
    routes = _to(_routes(OVER_PIPELINES), "o.experiment")
    sticky = {
        route["route"]["cluster"]: _headers(route)["x-seldon-route"]["string_match"]
        for route in routes
        if "cluster" in route["route"]
    }
    assert sticky["p_pipeline_http"] == {"contains": ":p.pipeline:"}
    assert sticky["q_pipeline_grpc"] == {"contains": ":q.pipeline:"}
    (rest,) = [
        route["route"]
        for route in routes
        if "weighted_clusters" in route["route"] and "path_separated_prefix" in route["match"]
    ]
    assert rest["weighted_clusters"]["clusters"] == [
        {"name": "p_pipeline_http", "weight": 30},
        {"name": "q_pipeline_http", "weight": 70},
    ]
    (mirror,) = rest["request_mirror_policies"]
    assert mirror["cluster"] == "q_pipeline_http"
    named, _ = mirror["request_headers_mutations"]
    assert named["append"]["header"] == {"key": "seldon-internal-model", "value": "q.pipeline"}
