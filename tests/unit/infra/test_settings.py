import pytest

from infra import paths, settings


def test_an_empty_stack_has_every_default():
    parsed = settings.Settings.parse({}, "Pulumi.local.yaml")
    assert parsed.ports.gateway == 9000
    assert parsed.target == "local"


def test_structured_values_come_as_json_text_from_pulumi_and_as_mappings_from_the_file():
    as_text = settings.Settings.parse({"bellwether:ports": '{"gateway": 9100}'}, "x")
    as_mapping = settings.Settings.parse({"bellwether:ports": {"gateway": 9100}}, "x")
    assert as_text == as_mapping
    assert as_text.ports.gateway == 9100


def test_an_unknown_key_is_refused_with_the_nearest_right_one():
    with pytest.raises(settings.SettingsError, match=r"`bellwether:namespce`.*`namespace`"):
        settings.Settings.parse({"bellwether:namespce": "x"}, "Pulumi.local.yaml")


def test_an_unknown_port_is_refused_with_the_nearest_right_one():
    with pytest.raises(settings.SettingsError, match=r"`bellwether:ports.gatway`.*`gateway`"):
        settings.Settings.parse({"bellwether:ports": {"gatway": 9100}}, "Pulumi.local.yaml")


def test_a_key_of_another_namespace_is_refused_with_the_right_one():
    with pytest.raises(settings.SettingsError, match=r"`belwether:seed`.*`bellwether:seed`"):
        settings.Settings.parse({"belwether:seed": 1}, "Pulumi.local.yaml")


def test_every_problem_is_named_at_once():
    wrong = {"bellwether:seed": -1, "bellwether:ports": {"mesh": 80}, "bellwether:colour": "red"}
    with pytest.raises(settings.SettingsError) as caught:
        settings.Settings.parse(wrong, "Pulumi.local.yaml")
    message = str(caught.value)
    assert "bellwether:seed" in message
    assert "bellwether:ports.mesh" in message
    assert "bellwether:colour" in message


def test_one_port_given_twice_is_refused_with_both_names():
    with pytest.raises(settings.SettingsError, match="both `gateway` and `mesh`"):
        settings.Settings.parse({"bellwether:ports": {"mesh": 9000}}, "Pulumi.local.yaml")


def test_a_missing_stack_names_the_stacks_that_exist(tmp_path):
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}")
    with pytest.raises(settings.SettingsError, match="stacks here: local"):
        settings.read(tmp_path / "Pulumi.nosuch.yaml")


def test_broken_yaml_is_refused_with_the_place(tmp_path):
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text("config: {a: [")
    with pytest.raises(settings.SettingsError, match="line 1"):
        settings.read(path)


def test_a_relative_folder_of_data_begins_at_the_checkout():
    parsed = settings.Settings.parse({"bellwether:data": "bars"}, "Pulumi.local.yaml")
    assert parsed.data == paths.ROOT / "bars"


def test_manifests_begin_at_the_checkout_wherever_a_command_runs():
    parsed = settings.Settings.parse({"bellwether:manifests": '["seldon", "/a/b.yaml"]'}, "x")
    assert [str(each) for each in parsed.manifests] == [str(paths.ROOT / "seldon"), "/a/b.yaml"]
