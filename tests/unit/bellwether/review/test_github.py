"""One comment a pull request: made once, then replaced. Against a server that speaks GitHub's paths."""

import http.server
import json
import re
import threading

import pytest

from bellwether.review import comment, github

TOKEN = "token-4711"  # noqa: S105  of no one


class Server(http.server.BaseHTTPRequestHandler):
    """Comments of one pull request, kept as GitHub keeps them."""

    comments: list
    seen: list
    status = 200

    def do_GET(self):
        page = int(re.search(r"&page=(\d+)", self.path)[1])
        self._answer(self.comments[(page - 1) * 100 : page * 100])

    def do_POST(self):
        self.comments.append(made(len(self.comments) + 1, self._body()))
        self._answer(self.comments[-1])

    def do_PATCH(self):
        (found,) = [c for c in self.comments if self.path.endswith(f"/{c['id']}")]
        found["body"] = self._body()
        self._answer(found)

    def do_DELETE(self):
        self.comments[:] = [c for c in self.comments if not self.path.endswith(f"/{c['id']}")]
        self._answer({})

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["content-length"])))["body"]

    def _answer(self, document):
        self.seen.append((self.command, self.headers["authorization"]))
        body = json.dumps(document).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def made(number, body, kind="Bot"):
    return {"id": number, "body": body, "user": {"type": kind}, "html_url": f"http://here/{number}"}


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"comments": [], "seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}"
        yield handler
        running.shutdown()
        thread.join()


@pytest.fixture
def pull_request(server):
    return github.PullRequest("owner/name", 7, TOKEN, server.url)


def body(text):
    return f"{comment.MARKER}\n{text}"


def test_the_first_run_writes_and_the_next_replaces(server, pull_request):
    github.post(pull_request, body("one"))
    url = github.post(pull_request, body("two"))
    assert [each["body"] for each in server.comments] == [body("two")]
    assert url == "http://here/1"
    assert {token for _, token in server.seen} == {f"Bearer {TOKEN}"}


def test_it_is_found_beyond_the_first_page(server, pull_request):
    server.comments += [made(i, "talk", "User") for i in range(1, 131)]
    server.comments.append(made(500, body("old")))
    github.post(pull_request, body("new"))
    assert server.comments[-1]["body"] == body("new")
    assert len(server.comments) == 131


def test_a_persons_comment_with_the_marker_is_left_alone(server, pull_request):
    server.comments.append(made(1, body("quoted"), "User"))
    github.post(pull_request, body("ours"))
    assert [each["body"] for each in server.comments] == [body("quoted"), body("ours")]


def test_doubled_comments_become_one(server, pull_request):
    server.comments += [made(1, body("a")), made(2, body("b"))]
    github.post(pull_request, body("c"))
    assert [each["body"] for each in server.comments] == [body("c")]


def test_a_refusal_names_the_right_that_is_missing(server, pull_request):
    server.status = 403
    with pytest.raises(github.GitHubError, match="pull-requests: write") as caught:
        github.post(pull_request, body("x"))
    assert TOKEN not in str(caught.value)


def test_outside_of_github_it_is_said_what_is_not_set(monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    with pytest.raises(github.GitHubError, match="not set: GITHUB_TOKEN"):
        github.PullRequest.of_environment(7)


def test_the_token_is_not_in_what_is_printed_of_a_pull_request(pull_request):
    assert TOKEN not in repr(pull_request)
