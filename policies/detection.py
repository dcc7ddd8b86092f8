"""Finding secrets in values that are no secret to Pulumi: by form, by name, by randomness.

Entropy is Shannon's, in bits a character, of the characters' frequencies in the token itself.
"""

import collections
import collections.abc
import itertools
import json
import math
import re
import typing

import yaml

from policies import objects

FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{30,}|github_pat_\w{30,})")),
    ("a GitLab token", re.compile(r"\bglpat-[\w-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}")),
    ("a Google API key", re.compile(r"\bAIza[\w-]{35}")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{16,}")),
    ("a Pulumi token", re.compile(r"\bpul-[0-9a-f]{40}\b")),
    ("an age key", re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{20,}")),
    ("a JSON web token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    (
        "an HTTP credential",
        re.compile(r"(?i)\bauthorization\W{1,4}(?:basic|bearer)\s+[\w.~+/=-]{8,}"),
    ),
    ("an Azure storage key", re.compile(r"AccountKey=[\w+/=]{40,}")),
)
"""What it is, and the form in which it is written."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:([^\s/@'\"]+)@")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = {
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens", "credential",
    "credentials", "apikey", "requirepass", "masterauth", "authpass",
}  # fmt: skip
_SECRET_KEYS = {"api", "access", "private", "secret", "signing", "encryption", "client", "account"}
_REFERENCES = {
    "file", "files", "path", "paths", "name", "names", "ref", "dir", "folder", "url", "uri", "endpoint",
    "ttl", "seconds", "minutes", "expiry", "expiration", "type", "kind", "policy", "length", "size",
    "count", "limit", "audience", "enabled", "id", "mount", "volume", "provider", "class", "namespace",
    "rotation", "store", "header", "field", "label", "max", "min", "selector", "version", "mode",
    "mechanism", "algorithm", "issuer", "format", "prefix", "environment", "variable", "description",
}  # fmt: skip
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_NO_VALUE = re.compile(
    r"^(?:$|[.~]?/|file:|\$|%[sd({]|\{\{|<|\*+$|\[secret\]$|(?:true|false|none|null|yes|no|default)$)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]*)["']?\s*=\s*(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"',;)]+)"""
)
_LISTED = re.compile(
    r"""^\s*(?:-\s+)?["']?(?P<name>[A-Za-z][\w.-]*)["']?\s*:\s+(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"',]+),?\s*$""",
    re.MULTILINE,
)
_SPACED = re.compile(
    r"""(?:^|\s)(?P<name>--[A-Za-z][\w-]*|requirepass|masterauth|auth-pass\s+[\w-]+)\s+(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"']+)""",
    re.MULTILINE,
)
_FLAG = re.compile(r"--?[A-Za-z][\w-]*$")
_PUBLIC = re.compile(r"-----BEGIN (?:CERTIFICATE|[A-Z ]*PUBLIC KEY)-----[^-]*-----END [A-Z ]+-----")
_DIGEST = re.compile(r"(?:sha\d{1,3}|md5)[:=_-][0-9a-fA-F]{32,}")
_DIGEST_WORDS = {
    "digest", "checksum", "hash", "sha", "sha256", "md5", "uid", "revision", "commit", "configuration",
    "fingerprint", "etag", "image", "bundle", "ca", "crt", "cert", "certificate", "public", "signature",
}  # fmt: skip
_BREAKS = re.compile(r"[\s\"'`,;:(){}\[\]<>|=@?&\\]+")
_HEX = re.compile(r"(?:[0-9a-f]{32,}|[0-9A-F]{32,})$")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}$")
_LIKE_A_WORD = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{4,}")
"""Of random base64 about a quarter of the characters are in such runs, of camelCase nearly all."""
_IN_WORDS = 0.65
_HEX_BITS, _BASE64_BITS = 3.0, 3.4
"""Least entropy: random hexadecimal has nearly 4, 24 random characters of base64 about 4.3."""
_PATH_PART = 12
"""Characters between two slashes: a path has fewer, random base64 some sixty."""
_PARSED_UP_TO = 100_000
"""Characters of YAML or JSON inside a text that are still read as such."""


def words(name: str) -> list[str]:
    """Split a name such as `VALKEY_PASSWORD_FILE` or `secretKeyRef` into lower-case words."""
    return [each.lower() for each in _WORD.findall(name)]


def is_secret_name(name: str) -> bool:
    """Whether what has this name is meant to be a secret, and not to say where one is."""
    found = words(name)
    if not found or found[-1] in _REFERENCES:
        return False
    pairs = set(itertools.pairwise(found))
    return (
        bool(_SECRET_WORDS & set(found))
        or any((before, "key") in pairs for before in _SECRET_KEYS)
        or ("auth", "pass") in pairs
        or ("key", "data") in pairs
    )


def is_value(text: str) -> bool:
    """Whether a text is a value itself: no reference, no variable, no path, no placeholder."""
    return _NO_VALUE.match(text.strip().strip("\"'")) is None


def entropy(token: str) -> float:
    """Give Shannon's entropy of a text's characters, in bits a character."""
    counts = collections.Counter(token).values()
    return -sum(n / len(token) * math.log2(n / len(token)) for n in counts)


def is_random(token: str) -> bool:
    """Whether a token looks drawn by chance: hexadecimal from 32 characters, base64 from 24."""
    if _HEX.match(token):
        return entropy(token) > _HEX_BITS
    if not _BASE64.match(token):
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    if not all(any(kind(each) for each in token) for kind in kinds):
        return False
    parts = [part for part in token.split("/") if part]
    if len(parts) > 1 and len(token) / len(parts) < _PATH_PART:
        return False
    in_words = sum(len(word) for word in _LIKE_A_WORD.findall(token))
    return in_words < _IN_WORDS * len(token) and entropy(token) > _BASE64_BITS


def in_text(text: str, name: str = "") -> str | None:
    """Say what kind of secret a text holds, if any; `name` is what the text is the value of."""
    for what, form in FORMS:
        if form.search(text):
            return what
    if any(is_value(found) for found in _URL.findall(text)):
        return "a password in a URL"
    for pattern in (_ASSIGNED, _LISTED, _SPACED):
        for found in pattern.finditer(text):
            called = found["name"].partition(" ")[0].replace("auth-pass", "authpass")
            if is_secret_name(called) and _holds(found["value"], called):
                return f"the value of `{called}`"
    if not _DIGEST_WORDS & set(words(name)):
        plain = _DIGEST.sub("", _PUBLIC.sub("", text))
        if any(is_random(token) for token in _BREAKS.split(plain)):
            return "a random text, such as keys are"
    return None


def _holds(value: str, name: str) -> bool:
    """Whether a value is a secret; what ends in `secret` names an object of Kubernetes as a rule."""
    plain = value.strip().strip("\"'")
    if not is_value(plain):
        return False
    names_object = (
        words(name)[-1] in {"secret", "secrets"} and _OBJECT_NAME.match(plain) is not None
    )
    return not names_object or is_random(plain)


def search(values: typing.Any, path: str = "") -> objects.Faults:
    """Find secrets in plain text below a value; what is found is named, and never shown."""
    yield from _search(values, path, "")


def _search(value: typing.Any, path: str, name: str) -> objects.Faults:
    if isinstance(value, collections.abc.Mapping):
        yield from _mapping(value, path)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            here = f"{path}[{number}]"
            before = value[number - 1] if number else None
            if _is_flag(before) and isinstance(each, str) and _is_argument(each):
                yield objects.Fault(here, f"it is the value of `{before}`")
            else:
                yield from _search(each, here, name)
    elif isinstance(value, str):
        yield from _text(value, path, name)


def _is_flag(before: typing.Any) -> bool:
    return isinstance(before, str) and bool(_FLAG.match(before)) and is_secret_name(before)


def _is_argument(text: str) -> bool:
    return is_value(text) and not text.startswith("-")


def _mapping(value: objects.Values, path: str) -> objects.Faults:
    # An environment variable, a model's parameter: its name says what its value is.
    named, given = value.get("name"), value.get("value")
    if isinstance(named, str) and isinstance(given, str) and _is_named_secret(named, given):
        yield objects.Fault(f"{path}.value", f"it is the value of `{named}`")
        return
    for key, each in value.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(each, str) and is_secret_name(str(key)) and _holds(each, str(key)):
            yield objects.Fault(here, f"it is the value of `{key}`")
        else:
            context = str(named) if key == "value" and isinstance(named, str) else str(key)
            yield from _search(each, here, context)


def _is_named_secret(name: str, value: str) -> bool:
    return is_secret_name(name) and is_value(value)


def _text(text: str, path: str, name: str) -> objects.Faults:
    if text == objects.HIDDEN or len(text) < 4:  # noqa: PLR2004  nothing so short is kept secret
        return
    document = _document(text)
    found = list(_search(document, f"{path}:", name)) if document is not None else []
    if found:
        yield from found
    elif (what := in_text(text, name)) is not None:
        yield objects.Fault(path, f"it holds {what}")


def _document(text: str) -> typing.Any:
    """Read a text that is YAML or JSON, such as a file in a ConfigMap; None where it is neither."""
    if len(text) > _PARSED_UP_TO or ("\n" not in text and not text.lstrip().startswith(("{", "["))):
        return None
    try:
        read = json.loads(text)
    except ValueError:
        try:
            read = yaml.load(text, Loader=_LOADER)  # noqa: S506  both loaders are safe ones
        except yaml.YAMLError:
            return None
    return read if isinstance(read, dict | list) else None


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
