"""The pipeline's own connection to Valkey says its password, and names a refusal."""

import asyncio
import os

import hiredis
import pytest
import redis

from runtimes.features import connection

WORD = "open sesame"


@pytest.fixture
def password(tmp_path, monkeypatch):
    """Valkey wants a password while this lasts; give the file that holds it."""
    host, _, port = os.environ["BELLWETHER_TEST_VALKEY"].rpartition(":")
    admin = redis.Redis(host=host, port=int(port))
    admin.config_set("requirepass", WORD)
    file = tmp_path / "password"
    file.write_text(f"{WORD}\n")
    monkeypatch.setenv("BELLWETHER_VALKEY_PASSWORD_FILE", str(file))
    try:
        yield file
    finally:
        redis.Redis(host=host, port=int(port), password=WORD).config_set("requirepass", "")


async def asked():
    link = connection.Connection(os.environ["BELLWETHER_TEST_VALKEY"], connect=1.0, reply=1.0)
    await link.open()
    try:
        return await link.ask(hiredis.pack_command(("ECHO", "here")), 1)
    finally:
        await link.close()


def test_with_the_password_it_is_answered(password):
    assert asyncio.run(asked()) == [b"here"]


def test_with_a_wrong_one_the_refusal_is_named(password):
    password.write_text("close sesame")
    with pytest.raises(connection.Away, match="WRONGPASS"):
        asyncio.run(asked())


def test_without_one_the_refusal_is_named(password, monkeypatch):
    monkeypatch.delenv("BELLWETHER_VALKEY_PASSWORD_FILE")
    with pytest.raises(connection.Away, match="NOAUTH"):
        asyncio.run(asked())
