"""What looks like a secret is found, never shown; what only sounds like one is let be."""

import json
import random
import string

import pytest
import yaml

from policies import detection

CANARY = "hunter2-canary"
RANDOM = random.Random(7)  # noqa: S311  keys of nothing
KEY = "".join(RANDOM.choices(string.ascii_letters + string.digits + "+/", k=40))
HEXADECIMAL = "".join(RANDOM.choices("0123456789abcdef", k=64))

SECRETS = [
    {"env": [{"name": "VALKEY_PASSWORD", "value": CANARY}]},
    {"env": [{"name": "APP_SECRET", "value": "plain"}]},
    {"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": KEY}]},
    {"env": [{"name": "ANYTHING", "value": KEY}]},
    {"env": [{"name": "ANYTHING", "value": HEXADECIMAL}]},
    {"parameters": [{"name": "api_key", "value": CANARY}]},
    {"adminPassword": CANARY},
    {"auth": {"token": CANARY}},
    {"clientSecret": "N0t-an-object's_name"},
    {"data": {"app.yaml": f"kafka:\n  sasl:\n    password: {CANARY}\n"}},
    {"data": {"app.json": json.dumps({"servers": [{"passphrase": CANARY}]})}},
    {"data": {"app.properties": f"a=b\nssl.keystore.password={CANARY}\n"}},
    {"data": {"valkey.conf": f"port 6379\nrequirepass {CANARY}\n"}},
    {"data": {"sentinel.conf": f"sentinel auth-pass bellwether {CANARY}\n"}},
    {"data": {"start.sh": f"set -eu\nPASSWORD='{CANARY}'\nexec server\n"}},
    {"config": f'ScramLoginModule required username="a" password="{CANARY}";'},
    {"args": ["--password", CANARY]},
    {"args": [f"--password={CANARY}"]},
    {"command": ["sh", "-c", f"valkey-cli --pass x --token {CANARY} ping"]},
    {"url": f"postgres://user:{CANARY}@db:5432/x"},
    {"url": f"redis://:{CANARY}@valkey:6379"},
    {"header": "Authorization: Bearer abcdefgh12345"},
    {"text": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"},
    {"text": "AKIA" + "IOSFODNN7EXAMPLE"},
    {"text": "ghp_" + "a1B2" * 9},
    {"text": "glpat-" + "x1Y2" * 6},
    {"text": "xoxb-" + "123456789012-abcdef"},
    {"text": "AIza" + "Sy1_-" * 7},
    {"text": "sk_live_" + "a1B2c3D4" * 3},
    {"text": "pul-" + "0123456789" * 4},
    {"text": "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK"},
    {"text": "DefaultEndpointsProtocol=https;AccountKey=" + "aB3/" * 12},
    {"kubeconfig": f"users:\n- user:\n    client-key-data: {KEY}\n"},
]
NONE = [
    {"env": [{"name": "BELLWETHER_VALKEY_PASSWORD_FILE", "value": "/var/run/secrets/password"}]},
    {"env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]},
    {"env": [{"name": "TOKEN", "value": "$(TOKEN_FROM_SECRET)"}]},
    {"env": [{"name": "MAX_TOKENS_LIMIT", "value": "4096"}]},
    {"secretName": "valkey-credentials", "imagePullSecrets": [{"name": "registry"}]},
    {"ssl": {"client": {"secret": "seldon", "brokerValidationSecret": "bellwether-ca-cert"}}},
    {"rclone": {"config_secrets": ["artifacts-rclone"]}, "passwordPath": "password"},
    {"automountServiceAccountToken": True, "tokenExpirationSeconds": 3600},
    {"password": "[secret]"},
    {"stringData": {"password": ""}},
    {"image": "registry.example.com/bellwether/console@sha256:" + HEXADECIMAL},
    {"storageUri": f"s3://bucket/artifacts/enrichment/sha256-{HEXADECIMAL}"},
    {"annotations": {"bellwether.dev/configuration": HEXADECIMAL}},
    {"caBundle": KEY, "ca.crt": f"-----BEGIN CERTIFICATE-----\n{KEY}\n-----END CERTIFICATE-----\n"},
    {"description": "The token: what a client shows. The password is read from a file."},
    {"expr": 'sum by (pod) (rate(container_cpu_usage_seconds_total{token="", pod=~".+"}[5m]))'},
    {"class": "org.apache.kafka.common.security.scram.ScramLoginModuleForTesting2"},
    {"uid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"},
    {"data": {"start.sh": 'password="$(cat /run/password)"\nprintf \'requirepass %s\\n\' "$password"\n'}},
    {"args": ["--token-audience", "api", "--password-file=/run/password", "--config=/a/secret"]},
    {"url": "https://user@example.com/path", "dsn": "redis://:${PASSWORD}@valkey:6379"},
    {"name": "theQuickBrownFoxJumpsOverTheLazyDog42"},
    {"path": "/opt/Application1/Something/VeryLong/Indeed2/File"},
]  # fmt: skip


@pytest.mark.parametrize("values", SECRETS, ids=lambda v: json.dumps(v)[:40])
def test_a_secret_in_plain_text_is_found_and_not_shown(values):
    found = list(detection.search(values))
    assert found
    said = " ".join(f"{each.path} {each.what}" for each in found)
    assert CANARY not in said
    assert KEY not in said


@pytest.mark.parametrize("values", NONE, ids=lambda v: json.dumps(v)[:40])
def test_what_only_sounds_like_a_secret_is_let_be(values):
    assert list(detection.search(values)) == []


def test_random_keys_of_every_usual_length_are_found():
    chance = random.Random(11)  # noqa: S311  keys of nothing
    alphabets = (string.ascii_letters + string.digits, string.ascii_letters + string.digits + "+/")
    for alphabet in alphabets:
        for length in (24, 32, 40, 64, 88):
            drawn = ["".join(chance.choices(alphabet, k=length)) for _ in range(200)]
            missed = [token for token in drawn if not detection.is_random(token)]
            assert len(missed) <= 20, f"{len(missed)} of 200 keys of {length} characters are missed"


def test_the_public_parts_of_a_certificate_authority_are_no_secret():
    crd = {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": KEY * 20}}}}}
    assert list(detection.search(yaml.safe_load(yaml.safe_dump(crd)))) == []


def test_a_path_leads_into_a_file_inside_a_config_map():
    text = json.dumps({"valkey": {"password": CANARY}})
    (found,) = detection.search({"data": {"console.json": text}})
    assert found.path == "data.console.json:.valkey.password"
