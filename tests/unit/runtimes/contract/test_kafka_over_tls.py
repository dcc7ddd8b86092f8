"""What is published with the credentials of the environment reaches a broker that wants mutual TLS."""

import contextlib
import shutil
import socket
import subprocess
import time

import confluent_kafka
import confluent_kafka.admin
import pytest

from infra import settings
from infra.local import kafka, toolchain
from runtimes.contract import credentials, publishing

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in taken]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificate(folder, name):
    """A certificate that our own authority has signed; give its files."""
    key, request, made = (folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
    openssl(
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        request,
        "-subj",
        f"/CN={name}",
    )
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1")
    authority = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial")
    openssl(
        "x509",
        "-req",
        "-in",
        request,
        *authority,
        "-out",
        made,
        "-days",
        "1",
        "-extfile",
        extensions,
    )
    return key, made


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker that answers over TLS, to those whose certificate it trusts; give address and folder."""
    folder = tmp_path_factory.mktemp("kafka-tls")
    authority = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-days", "1")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=authority", *authority)
    certificate(folder, "client")
    key, made = certificate(folder, "server")
    (folder / "server.pem").write_text(key.read_text() + made.read_text())
    port, controller, metrics = free_ports(3)
    ports = settings.Ports(kafka=port, kafka_controller=controller, kafka_metrics=metrics)
    over_tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "server.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "ca.crt",
        "ssl.client.auth": "required",
        "inter.broker.listener.name": "TLS",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,TLS:SSL",
        "auto.create.topics.enable": "true",
    }
    plain = kafka.properties(ports, folder / "data").replace("PLAINTEXT://", "TLS://")
    extra = "".join(f"{name}={value}\n" for name, value in over_tls.items())
    (folder / "server.properties").write_text(plain + extra)
    (folder / "log4j.properties").write_text(kafka.LOG4J)
    (folder / "metrics.yml").write_text("rules: []\n")
    found = toolchain.Toolchain.locate()
    script = folder / "start.sh"
    script.write_text(kafka.start_script(found.java, found.kafka_jars, folder, 256, metrics))
    log = folder / "kafka.log"
    with log.open("wb") as out:
        process = subprocess.Popen(["sh", str(script)], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield f"127.0.0.1:{port}", folder, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def named(monkeypatch, folder):
    monkeypatch.setenv("BELLWETHER_KAFKA_AUTHORITY_FILE", str(folder / "ca.crt"))
    monkeypatch.setenv("BELLWETHER_KAFKA_CERTIFICATE_FILE", str(folder / "client.crt"))
    monkeypatch.setenv("BELLWETHER_KAFKA_KEY_FILE", str(folder / "client.key"))


def test_a_record_arrives_over_mutual_tls(broker, monkeypatch):
    address, folder, process = broker
    named(monkeypatch, folder)
    admin = confluent_kafka.admin.AdminClient(
        {"bootstrap.servers": address, **credentials.kafka(), "log_level": 0}
    )
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(confluent_kafka.KafkaException):  # until it listens
            admin.list_topics(timeout=1)
            break
        assert process.poll() is None, (folder / "kafka.log").read_text()[-3000:]
        assert time.monotonic() < deadline, (folder / "kafka.log").read_text()[-3000:]
    for made in admin.create_topics([confluent_kafka.admin.NewTopic("told", 1, 1)]).values():
        made.result()
    publisher = publishing.Publisher(address, "test")
    publisher.publish("told", b"hello")
    publisher.close()
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            **credentials.kafka(),
            "group.id": "test",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["told"])
    found = None
    while found is None or found.error() is not None:
        assert time.monotonic() < deadline
        found = consumer.poll(1.0)
    consumer.close()
    assert found.value() == b"hello"


def test_without_a_certificate_nothing_is_told(broker, monkeypatch):
    address, folder, _ = broker
    named(monkeypatch, folder)
    monkeypatch.delenv("BELLWETHER_KAFKA_CERTIFICATE_FILE")
    monkeypatch.delenv("BELLWETHER_KAFKA_KEY_FILE")
    admin = confluent_kafka.admin.AdminClient(
        {"bootstrap.servers": address, **credentials.kafka(), "log_level": 0}
    )
    with pytest.raises(confluent_kafka.KafkaException):
        admin.list_topics(timeout=2)
