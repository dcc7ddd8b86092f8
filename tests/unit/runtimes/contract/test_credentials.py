"""Credentials come from files that the environment names, and never without saying what is missing."""

import pytest

from runtimes.contract import credentials


def test_without_variables_nothing_is_added(monkeypatch):
    for name in ("KAFKA_AUTHORITY_FILE", "KAFKA_SASL_USERNAME", "VALKEY_PASSWORD_FILE"):
        monkeypatch.delenv(f"BELLWETHER_{name}", raising=False)
    assert credentials.kafka() == {}
    assert credentials.valkey() == {}


def test_mutual_tls_names_the_three_files(monkeypatch, tmp_path):
    for name, variable in (
        ("ca.crt", "AUTHORITY"),
        ("user.crt", "CERTIFICATE"),
        ("user.key", "KEY"),
    ):
        (tmp_path / name).write_text("pem")
        monkeypatch.setenv(f"BELLWETHER_KAFKA_{variable}_FILE", str(tmp_path / name))
    assert credentials.kafka() == {
        "security.protocol": "SSL",
        "ssl.ca.location": str(tmp_path / "ca.crt"),
        "ssl.certificate.location": str(tmp_path / "user.crt"),
        "ssl.key.location": str(tmp_path / "user.key"),
    }
    monkeypatch.delenv("BELLWETHER_KAFKA_KEY_FILE")
    with pytest.raises(credentials.CredentialsError, match="need each other"):
        credentials.kafka()


def test_a_password_is_read_anew_each_time(monkeypatch, tmp_path):
    file = tmp_path / "password"
    file.write_text("first\n")
    monkeypatch.setenv("BELLWETHER_KAFKA_SASL_USERNAME", "us")
    monkeypatch.setenv("BELLWETHER_KAFKA_SASL_PASSWORD_FILE", str(file))
    monkeypatch.setenv("BELLWETHER_VALKEY_PASSWORD_FILE", str(file))
    assert credentials.kafka()["sasl.password"] == "first"
    file.write_text("second\n")
    assert credentials.kafka()["sasl.password"] == "second"
    assert credentials.valkey() == {"password": "second"}


def test_a_missing_file_is_named_with_its_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("BELLWETHER_VALKEY_PASSWORD_FILE", str(tmp_path / "gone"))
    with pytest.raises(credentials.CredentialsError, match="BELLWETHER_VALKEY_PASSWORD_FILE names"):
        credentials.valkey()


def test_a_flag_is_true_or_false(monkeypatch):
    monkeypatch.setenv("BELLWETHER_VALKEY_TLS", "yes")
    with pytest.raises(credentials.CredentialsError, match="`true` or `false`"):
        credentials.valkey()
