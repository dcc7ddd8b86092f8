import asyncio

import pydantic
import pytest
from pulumi.provider.experimental import property_value
from pulumi.provider.experimental import provider as pulumi_provider

from infra.local.provider import handler, provider, registry, values

TYPE = "bellwether-local:index:Thing"
URN = f"urn:pulumi:test::bellwether::{TYPE}::thing"


class ThingInputs(handler.Inputs):
    name: str
    size: int = pydantic.Field(1, ge=1)
    secret: str = ""


class ThingHandler(handler.Handler[ThingInputs]):
    """Keeps its things in a dictionary, as a real one keeps them in the world."""

    inputs = ThingInputs
    replace_on = frozenset({"name"})

    def __init__(self):
        self.things = {}

    def identify(self, wanted):
        return wanted.name

    def create(self, wanted, timeout):
        self.things[wanted.name] = wanted.size
        return {"made": True}

    def read(self, last):
        return {"size": self.things[last.name]} if last.name in self.things else None

    def update(self, old, wanted, timeout):
        return self.create(wanted, timeout)

    def delete(self, last, timeout):
        self.things.pop(last.name, None)


@pytest.fixture
def things():
    return ThingHandler()


@pytest.fixture
def local(things):
    return provider.LocalProvider({TYPE: things})


def check(local, inputs):
    request = pulumi_provider.CheckRequest(URN, {}, values.from_plain(inputs), b"")
    return asyncio.run(local.check(request))


def diff(local, old, new, ignore=()):
    request = pulumi_provider.DiffRequest(
        URN, "id", values.from_plain(old), values.from_plain(new), list(ignore)
    )
    return asyncio.run(local.diff(request))


def test_check_fills_defaults_in(local):
    assert values.to_plain(check(local, {"name": "a"}).inputs)["size"] == 1


def test_check_names_the_property_that_is_wrong(local):
    failures = check(local, {"name": "a", "size": 0}).failures
    assert [f.property for f in failures] == ["size"]
    assert "greater than or equal to 1" in failures[0].reason


def test_check_refuses_an_unknown_property_and_lists_the_known_ones(local):
    failures = check(local, {"name": "a", "sizes": 3}).failures
    assert [f.property for f in failures] == ["sizes"]
    assert "name, size" in failures[0].reason


def test_check_waits_with_what_is_not_known_yet(local):
    inputs = {"name": property_value.PropertyValue.computed()}
    request = pulumi_provider.CheckRequest(URN, {}, inputs, b"")
    assert asyncio.run(local.check(request)).failures == []


def test_diff_of_the_same_is_no_change(local):
    assert (
        diff(local, {"name": "a", "size": 2, "made": True}, {"name": "a", "size": 2}).changes
        is False
    )


def test_diff_names_what_changed_and_what_makes_a_new_resource(local):
    changed = diff(local, {"name": "a", "size": 2}, {"name": "b", "size": 3})
    assert changed.diffs == ["name", "size"]
    assert changed.replaces == ["name"]


def test_diff_leaves_out_what_is_to_be_ignored(local):
    assert (
        diff(local, {"name": "a", "size": 2}, {"name": "a", "size": 3}, ["size"]).changes is False
    )


def test_preview_creates_nothing_and_gives_no_id(local, things):
    request = pulumi_provider.CreateRequest(URN, values.from_plain({"name": "a"}), 0, preview=True)
    assert asyncio.run(local.create(request)).resource_id == ""
    assert things.things == {}


def test_create_gives_id_inputs_and_outputs(local, things):
    request = pulumi_provider.CreateRequest(
        URN, values.from_plain({"name": "a", "size": 2}), 0, preview=False
    )
    created = asyncio.run(local.create(request))
    assert created.resource_id == "a"
    assert values.to_plain(created.properties) == {
        "name": "a",
        "size": 2,
        "secret": "",
        "made": True,
    }
    assert things.things == {"a": 2}


def test_a_secret_input_is_a_secret_in_the_state(local):
    inputs = values.from_plain({"name": "a", "secret": "canary"})
    inputs["secret"] = inputs["secret"].with_secret(True)
    created = asyncio.run(
        local.create(pulumi_provider.CreateRequest(URN, inputs, 0, preview=False))
    )
    assert created.properties["secret"].is_secret
    assert not created.properties["name"].is_secret


def test_read_shows_how_it_really_is(local, things):
    things.things["a"] = 7
    properties = values.from_plain({"name": "a", "size": 2})
    read = asyncio.run(local.read(pulumi_provider.ReadRequest(URN, "a", properties, properties)))
    assert values.to_plain(read.properties)["size"] == 7
    assert values.to_plain(read.inputs)["size"] == 7


def test_read_of_what_is_gone_gives_no_id(local):
    properties = values.from_plain({"name": "a"})
    read = asyncio.run(local.read(pulumi_provider.ReadRequest(URN, "a", properties, properties)))
    assert read.resource_id == ""


def test_an_unknown_type_is_refused_with_the_known_ones(local):
    urn = URN.replace("Thing", "Nothing")
    with pytest.raises(handler.ResourceError, match="known: bellwether-local:index:Thing"):
        asyncio.run(local.check(pulumi_provider.CheckRequest(urn, {}, {}, b"")))


@pytest.mark.parametrize(
    ("type_", "inputs", "wrong"),
    [
        ("File", {"path": "relative", "content": ""}, "path"),
        ("Topic", {"bootstrap": "kafka.example:9092", "name": "t", "partitions": 1}, "bootstrap"),
        ("Topic", {"bootstrap": "127.0.0.1:9092", "name": "t", "partitions": 0}, "partitions"),
        ("Topic", {"bootstrap": "127.0.0.1:9092", "name": "white space", "partitions": 1}, "name"),
        (
            "SeldonObject",
            {"endpoint": "http://127.0.0.1:9020", "manifest": {"kind": "Pod"}},
            "manifest",
        ),
        ("Supervisor", {"home": "relative"}, "home"),
    ],
)
def test_the_real_types_refuse_bad_inputs_with_the_property_named(type_, inputs, wrong):
    local = provider.LocalProvider(registry.HANDLERS)
    urn = f"urn:pulumi:test::bellwether::bellwether-local:index:{type_}::x"
    request = pulumi_provider.CheckRequest(urn, {}, values.from_plain(inputs), b"")
    assert [f.property for f in asyncio.run(local.check(request)).failures] == [wrong]


def test_whole_numbers_survive_the_wire_as_whole_numbers():
    plain = {"a": 3, "b": [1, 2.5], "c": {"d": True}}
    assert values.to_plain(values.from_plain(plain)) == plain
    assert type(values.to_plain(values.from_plain(plain))["a"]) is int


def test_differences_are_named_down_to_the_value():
    old = {"spec": {"candidates": [{"name": "a", "weight": 40}, {"name": "b", "weight": 60}]}}
    new = {"spec": {"candidates": [{"name": "a", "weight": 30}, {"name": "b", "weight": 70}]}}
    assert values.differences(old, new, "manifest") == [
        "manifest.spec.candidates[0].weight",
        "manifest.spec.candidates[1].weight",
    ]


def test_a_list_of_another_length_differs_as_a_whole():
    assert values.differences({"a": [1]}, {"a": [1, 2]}, "x") == ["x.a"]


def test_a_key_that_is_no_name_is_quoted():
    assert values.differences({"a.b/c": 1}, {"a.b/c": 2}, "labels") == ['labels["a.b/c"]']
    assert values.differences({}, {"new": 2}, "labels") == ["labels.new"]
