"""The one comment of a pull request, found again by its marker and replaced.

The token comes from the environment: no command line has it.
"""

import collections.abc
import dataclasses
import os
import typing

import httpx

from bellwether.review import comment

_API = "https://api.github.com"
_PAGE = 100
_BOT = "Bot"


class GitHubError(Exception):
    """GitHub refused or is away; the message says what it said and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request, and how it is reached."""

    repository: str
    """`owner/name`."""
    number: int
    token: str = dataclasses.field(repr=False)
    api: str = _API

    @classmethod
    def of_environment(cls, number: int) -> "PullRequest":
        """Read what GitHub Actions sets.

        Raises:
            GitHubError: something is not set; the message says what.

        """
        wanted = ("GITHUB_REPOSITORY", "GITHUB_TOKEN")
        if missing := [name for name in wanted if not os.environ.get(name)]:
            raise GitHubError(
                f"not set: {', '.join(missing)}; `--post` is for GitHub Actions: without it the "
                "comment is printed"
            )
        repository, token = (os.environ[name] for name in wanted)
        return cls(repository, number, token, os.environ.get("GITHUB_API_URL", _API))


def post(where: PullRequest, body: str) -> str:
    """Write the comment, in place of its last version; give its URL.

    Raises:
        GitHubError: see there.

    """
    headers = {"authorization": f"Bearer {where.token}", "accept": "application/vnd.github+json"}
    comments = f"/repos/{where.repository}/issues/{where.number}/comments"
    with httpx.Client(base_url=where.api, headers=headers, timeout=30) as client:
        ours = [each["id"] for each in _comments(client, comments) if _is_ours(each)]
        for doubled in ours[1:]:
            _answer(client, "DELETE", f"/repos/{where.repository}/issues/comments/{doubled}")
        if ours:
            path = f"/repos/{where.repository}/issues/comments/{ours[0]}"
            answer = _answer(client, "PATCH", path, {"body": body})
        else:
            answer = _answer(client, "POST", comments, {"body": body})
    return str(answer.json()["html_url"])


def _is_ours(each: dict[str, typing.Any]) -> bool:
    # Anybody can write the marker; only a bot's comment is the one that is replaced.
    of_bot = (each.get("user") or {}).get("type") == _BOT
    return of_bot and str(each.get("body") or "").startswith(comment.MARKER)


def _comments(client: httpx.Client, path: str) -> collections.abc.Iterator[dict[str, typing.Any]]:
    page = 1
    while True:
        found = _answer(client, "GET", f"{path}?per_page={_PAGE}&page={page}").json()
        yield from found
        if len(found) < _PAGE:
            return
        page += 1


def _answer(
    client: httpx.Client, method: str, path: str, body: dict[str, str] | None = None
) -> httpx.Response:
    try:
        answer = client.request(method, path, json=body)
    except httpx.TransportError as error:
        raise GitHubError(f"{client.base_url} does not answer: {error}") from error
    if answer.is_error:
        remedy = (
            "; the job needs `permissions: pull-requests: write`, which a fork's pull request "
            "never has"
            if answer.status_code in {401, 403}
            else ""
        )
        raise GitHubError(
            f"{method} {path} answers {answer.status_code}: {answer.text[:300]}{remedy}"
        )
    return answer
