"""The REST call of each forge: its address, header and body, and the meaning of its answers."""

import ssl

import pytest
import trustme
from forges import COMMIT, LINK, REPOSITORY, TOKEN, serving_forge
from servers import closed_port, silent_port

import ml.forge.statuses
from ml.core.errors import PlatformError, UsageError
from ml.forge.statuses import Forge, require_token


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(ml.forge.statuses, "PAUSES", (0.01, 0.01))


def send(api, provider="github", state="success", sentence="promoted", link=LINK, at="", ca="") -> None:
    forge = Forge(provider, at or api.url, REPOSITORY, TOKEN, ca)
    assert TOKEN not in repr(forge)
    forge.set_status(COMMIT, "jukebox", state, sentence, link)


def failure(api, *arguments, **settings) -> str:
    """Check that it fails in one line without the token, and return the line."""
    with pytest.raises(PlatformError, match=f"^the status of {COMMIT[:12]} was not set at ") as caught:
        send(api, *arguments, **settings)
    assert str(caught.value).isprintable()
    assert TOKEN not in str(caught.value)
    return str(caught.value)


REPOS, PROJECTS = f"/repos/team/jukebox/statuses/{COMMIT}", f"/projects/team%2Fjukebox/statuses/{COMMIT}"


@pytest.mark.parametrize(
    ("provider", "path", "header", "value", "name", "failed", "error", "limit"),
    [
        ("github", REPOS, "authorization", f"Bearer {TOKEN}", "context", "failure", "error", 140),
        ("gitlab", PROJECTS, "private-token", TOKEN, "name", "failed", "failed", 255),
        ("gitea", REPOS, "authorization", f"token {TOKEN}", "context", "failure", "error", 255),
    ],
)
def test_what_is_sent_without_a_login_of_the_machine(
    api, tmp_path, monkeypatch, provider, path, header, value, name, failed, error, limit
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for state, word in {"success": "success", "failure": failed, "error": error}.items():
        send(api, provider, state)
        post = api.posts.pop()
        assert (post.path, post.headers[header]) == (path, value)
        assert {"authorization", "private-token"} & post.headers.keys() == {header}
        assert post.headers["content-type"] == "application/json"
        assert post.body == {"state": word, "description": "promoted", name: "jukebox", "target_url": LINK}
    # A long sentence is cut, and a link that is not https left out.
    for length, link in ((limit, ""), (limit + 1, "http://dspa.example/runs/1")):
        send(api, provider, sentence="é" * length, link=link)
        assert "target_url" not in api.posts[-1].body
    assert [post.body["description"] for post in api.posts] == ["é" * limit, "é" * (limit - 1) + "…"]


@pytest.mark.parametrize(
    ("provider", "api", "repository", "address"),
    [
        ("github", "", "https://github.com/team/jukebox/", "https://api.github.com/repos/team/jukebox"),
        ("github", "", "git@github.com:team/jukebox.git", "https://api.github.com/repos/team/jukebox"),
        ("github", "", "https://user:pw@ghe.example/team/x", "https://ghe.example/api/v3/repos/team/x"),
        ("gitlab", "", "git@gl.example:a/b/c-d.git", "https://gl.example/api/v4/projects/a%2Fb%2Fc-d"),
        ("gitlab", "", "ssh://git@gl.example:2222/a/b.git", "https://gl.example/api/v4/projects/a%2Fb"),
        ("gitea", "", "https://gt.example:3000/a/b", "https://gt.example:3000/api/v1/repos/a/b"),
        ("gitea", "", "http://gt.example:3000/a/b", "https://gt.example/api/v1/repos/a/b"),
        ("gitea", "", "https://gt.example/a b/é?c#d", "https://gt.example/api/v1/repos/a%20b/%C3%A9"),
        ("github", "https://api.example/v3/", REPOSITORY, "https://api.example/v3/repos/team/jukebox"),
        ("github", "http://localhost:80/v3", REPOSITORY, "http://localhost:80/v3/repos/team/jukebox"),
    ],
)
def test_the_address_is_the_repositorys_default_or_the_named_one(provider, api, repository, address):
    assert Forge(provider, api, repository, TOKEN).address(COMMIT) == f"{address}/statuses/{COMMIT}"


NO_REPOSITORIES = """
jukebox /srv/git/jukebox https://forge.example https://[x/a/b https://forge.example:port/a/b
https://user:canary@forge.example/jukebox git@forge.example:jukebox
""".split()
NO_APIS = """
http://forge.example/api forge.example/api https:// http://localhost.example/ http://127.0.0.1.example/
https://user:canary@forge.example/api
""".split()


@pytest.mark.parametrize("word", [*NO_REPOSITORIES, *NO_APIS])
def test_an_address_that_is_not_valid_is_refused_and_its_password_not_quoted(word):
    api, repository = (word, REPOSITORY) if word in NO_APIS else ("", word)
    told = "an address that begins with https://" if api else "the address of a repository"
    with pytest.raises(UsageError, match=f"must be {told}") as caught:
        Forge("github", api, repository, TOKEN).address(COMMIT)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "two\nlines", "tökén", "a\x00b"])
def test_a_token_that_is_not_valid_is_refused_and_not_quoted(token):
    with pytest.raises(UsageError, match=r"^NAME: a token must have no spaces") as caught:
        require_token("NAME", token)
    assert token not in str(caught.value)


NO_API = ": this is not the API of a forge"
QUOTES = f'{{"message": "\x1b[31m{TOKEN}"}}'.encode()


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, QUOTES, ""), (401, QUOTES, ": the token is refused"), (422, QUOTES, ": the commit does not"),
        (403, QUOTES, ": the token may not set a status"), (404, QUOTES, ": the repository or commit does"),
        *((status, QUOTES, NO_API) for status in (302, 307)), (200, b"<html>", NO_API), (200, b"[]", NO_API),
    ],
)  # fmt: skip
def test_a_refusal_is_final_a_redirect_is_not_followed_and_nothing_is_quoted(api, status, body, meaning):
    api.answers = [(status, body)]
    assert f" at 127.0.0.1: the forge answers {status}{meaning}" in failure(api)
    assert len(api.posts) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_forge_that_is_down_is_asked_three_times(api, status):
    api.answers = [(status, b"no"), (status, b"no"), (201, b"{}")]
    send(api)
    api.answers = [(status, b"no")]
    assert f"the forge answers {status}" in failure(api)
    assert len(api.posts) == 6


@pytest.mark.parametrize(("before", "accepted"), [("failed", True), ("success", False)])
def test_gitlab_may_refuse_the_state_that_is_set_already(api, before, accepted):
    message = f"Cannot transition status via :any from :{before} (Reason(s): Status cannot …)"
    api.answers = [(400, f'{{"message": "{message}"}}'.encode())]
    for provider in ("gitlab", "github"):
        if accepted and provider == "gitlab":
            send(api, provider, "error")
        else:
            assert "the forge answers 400" in failure(api, provider, "error")


def test_a_forge_that_does_not_answer_is_an_error(api, monkeypatch):
    told = failure(api, at=f"http://127.0.0.1:{closed_port()}")
    assert "ConnectionError: the forge cannot be reached" in told
    monkeypatch.setattr(ml.forge.statuses, "TIMEOUT", (0.2, 0.2))
    for connects in (True, False):
        with silent_port(connects=connects) as port:
            assert "Timeout: the forge cannot be reached" in failure(api, at=f"http://127.0.0.1:{port}")


def test_only_a_named_ca_is_trusted(tmp_path, monkeypatch):
    ca, pem = trustme.CA(), str(tmp_path / "ca.pem")
    ca.cert_pem.write_to_path(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pem)
    with serving_forge(context) as secure:
        assert "SSLError: the forge cannot be reached" in failure(secure)
        assert secure.posts == []
        send(secure, ca=pem)
        assert len(secure.posts) == 1
