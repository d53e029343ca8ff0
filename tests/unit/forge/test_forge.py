"""The one REST call of each forge: where, with which header and body, and what its answers mean."""

import ssl

import pytest
import trustme
from forges import COMMIT, REPOSITORY, TOKEN, Api, serving_forge
from servers import closed_port, silent_port

import ml.forge.statuses
from ml.core.errors import PlatformError, UsageError
from ml.forge.statuses import Forge, require_token

PROVIDERS = ("github", "gitlab", "gitea")
STATES = ("success", "failure", "error")
LINK = "https://dspa.example/runs/1"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(ml.forge.statuses, "PAUSES", (0.01, 0.01))


@pytest.fixture
def api():
    with serving_forge(Api()) as found:
        yield found


def tell(api, provider="github", state="success", sentence="promoted", link=LINK, **settings) -> None:
    forge = Forge(provider, settings.pop("at", api.url), REPOSITORY, settings.pop("token", TOKEN), **settings)
    assert TOKEN not in repr(forge)
    forge.set_status(COMMIT, "jukebox", state, sentence, link)


def failure(api, *arguments, **settings) -> str:
    """Check that telling fails in one line without the token, and return the line."""
    with pytest.raises(PlatformError) as caught:
        tell(api, *arguments, **settings)
    text = str(caught.value)
    assert text.startswith(f"the status of {COMMIT[:12]} was not set at ")
    assert text.isprintable()
    assert TOKEN not in text
    return text


# What is sent.


@pytest.mark.parametrize("state", STATES)
def test_github(api, state):
    tell(api, "github", state)
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert api.post.headers["authorization"] == f"Bearer {TOKEN}"
    assert api.post.headers["content-type"] == "application/json"
    assert api.post.body == {
        "state": state,
        "description": "promoted",
        "context": "jukebox",
        "target_url": LINK,
    }


@pytest.mark.parametrize(
    ("state", "word"), [("success", "success"), ("failure", "failed"), ("error", "failed")]
)
def test_gitlab(api, state, word):
    tell(api, "gitlab", state)
    assert api.post.path == f"/projects/team%2Fjukebox/statuses/{COMMIT}"
    assert api.post.headers["private-token"] == TOKEN
    assert "authorization" not in api.post.headers
    assert api.post.body == {"state": word, "description": "promoted", "name": "jukebox", "target_url": LINK}


@pytest.mark.parametrize("state", STATES)
def test_gitea(api, state):
    tell(api, "gitea", state)
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert api.post.headers["authorization"] == f"token {TOKEN}"
    assert api.post.body == {
        "state": state,
        "description": "promoted",
        "context": "jukebox",
        "target_url": LINK,
    }


@pytest.mark.parametrize("link", ["", "http://dspa.example/runs/1", "javascript:alert(1)"])
def test_only_a_link_over_https_is_one(api, link):
    tell(api, link=link)
    assert "target_url" not in api.post.body


@pytest.mark.parametrize(("provider", "most"), [("github", 140), ("gitlab", 255), ("gitea", 255)])
def test_a_long_sentence_is_cut(api, provider, most):
    for length in (most, most + 1, 10_000):
        tell(api, provider, sentence="é" * length)
    whole, cut, much = (post.body["description"] for post in api.posts)
    assert whole == "é" * most
    assert cut == much == "é" * (most - 1) + "…"


def test_no_login_of_the_machine_is_sent(api, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    tell(api)
    assert api.post.headers["authorization"] == f"Bearer {TOKEN}"


# Where it is sent.


@pytest.mark.parametrize(
    ("provider", "repository", "address"),
    [
        ("github", "https://github.com/team/jukebox", "https://api.github.com/repos/team/jukebox"),
        ("github", "https://github.com/team/jukebox.git", "https://api.github.com/repos/team/jukebox"),
        ("github", "https://github.com/team/jukebox/", "https://api.github.com/repos/team/jukebox"),
        ("github", "git@github.com:team/jukebox.git", "https://api.github.com/repos/team/jukebox"),
        ("github", "https://ghe.example/team/jukebox", "https://ghe.example/api/v3/repos/team/jukebox"),
        ("github", "https://user:pw@ghe.example/team/x", "https://ghe.example/api/v3/repos/team/x"),
        (
            "gitlab",
            "https://gitlab.com/team/jukebox.git",
            "https://gitlab.com/api/v4/projects/team%2Fjukebox",
        ),
        ("gitlab", "git@gl.example:a/b/c-d.git", "https://gl.example/api/v4/projects/a%2Fb%2Fc-d"),
        ("gitlab", "ssh://git@gl.example:2222/a/b.git", "https://gl.example/api/v4/projects/a%2Fb"),
        ("gitea", "https://gt.example:3000/a/b", "https://gt.example:3000/api/v1/repos/a/b"),
        ("gitea", "http://gt.example:3000/a/b", "https://gt.example/api/v1/repos/a/b"),
        ("gitea", "git://gt.example:9418/a/b.git", "https://gt.example/api/v1/repos/a/b"),
        ("gitea", "https://gt.example/a/b?c#d", "https://gt.example/api/v1/repos/a/b"),
        ("gitea", "https://gt.example/a b/é", "https://gt.example/api/v1/repos/a%20b/%C3%A9"),
    ],
)
def test_the_usual_address_follows_from_the_repositorys(provider, repository, address):
    assert Forge(provider, "", repository, TOKEN).address(COMMIT) == f"{address}/statuses/{COMMIT}"


@pytest.mark.parametrize(
    "repository",
    [
        "",
        "jukebox",
        "/srv/git/jukebox",
        "https://forge.example",
        "https://forge.example/jukebox",
        "https://[x/a/b",
        "https://forge.example:port/a/b",
        "https://user:canary@forge.example/jukebox",
        "git@forge.example:jukebox",
    ],
)
def test_what_is_no_repository(repository):
    with pytest.raises(UsageError, match="must be the address of a repository") as caught:
        Forge("github", "", repository, TOKEN).address(COMMIT)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "api", ["https://api.example/v3", "https://api.example/v3/", "http://localhost:80/v3"]
)
def test_another_address_of_the_api(api):
    address = Forge("github", api, REPOSITORY, TOKEN).address(COMMIT)
    assert address == f"{api.rstrip('/')}/repos/team/jukebox/statuses/{COMMIT}"


@pytest.mark.parametrize(
    "api",
    [
        "http://forge.example/api",
        "forge.example/api",
        "ftp://forge.example",
        "//forge.example",
        "https://",
        "http://localhost.example/",
        "http://127.0.0.1.example/",
        "https://user:canary@forge.example/api",
    ],
)
def test_a_token_is_not_sent_in_the_open(api):
    with pytest.raises(UsageError, match="must be an address that begins with https://") as caught:
        Forge("github", api, REPOSITORY, TOKEN).address(COMMIT)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "two\nlines", "tökén", "a\x00b", "tab\t"])
def test_what_is_no_token_is_refused_and_not_quoted(token):
    with pytest.raises(UsageError, match=r"^NAME: a token must have no spaces") as caught:
        require_token("NAME", token)
    assert token not in str(caught.value)


# What comes back.


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, ""),
        (401, "the token is refused"),
        (403, "may not set"),
        (404, "does not exist, or the token"),
        (422, "does not exist"),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refusal_is_told_at_once(api, provider, status, meaning):
    api.answers = [(status, f'{{"message": "\x1b[31m{TOKEN}"}}'.encode())]
    text = failure(api, provider)
    assert text.startswith(
        f"the status of {COMMIT[:12]} was not set at 127.0.0.1: the forge answers {status}"
    )
    assert meaning in text
    assert len(api.posts) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_forge_that_is_down_is_asked_again(api, status):
    api.answers = [(status, b"no"), (status, b"no"), (201, b"{}")]
    tell(api)
    assert len(api.posts) == 3


def test_a_forge_that_stays_down_is_asked_three_times(api):
    api.answers = [(503, b"no")]
    assert "the forge answers 503" in failure(api)
    assert len(api.posts) == 3


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("location", [True, False])
def test_a_redirect_is_not_followed(api, status, location):
    api.answers, api.headers = [(status, b"")], {"Location": f"{api.url}/elsewhere"} if location else {}
    assert f"the forge answers {status}: this is not the API of a forge" in failure(api)
    assert len(api.posts) == 1


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"", b"[]", b"1"])
def test_a_login_page_is_no_success(api, body):
    api.answers = [(200, body)]
    assert "the forge answers 200: this is not the API of a forge" in failure(api)


TRANSITION = (
    '{{"message": "Cannot transition status via :{event} from :{state} (Reason(s): Status cannot …)"}}'
)


@pytest.mark.parametrize(
    ("state", "before", "fine"),
    [
        ("success", "success", True),
        ("failure", "failed", True),
        ("error", "failed", True),
        ("failure", "success", False),
        ("success", "failed", False),
        ("success", "canceled", False),
    ],
)
def test_gitlab_does_not_set_what_is_set_already(api, state, before, fine):
    api.answers = [(400, TRANSITION.format(event="any", state=before).encode())]
    if fine:
        tell(api, "gitlab", state)
    else:
        assert "the forge answers 400" in failure(api, "gitlab", state)
    assert "the forge answers 400" in failure(api, "github", state)


def test_nothing_listens(api):
    assert "ConnectionError: the forge cannot be reached" in failure(
        api, at=f"http://127.0.0.1:{closed_port()}"
    )


@pytest.mark.parametrize("connects", [True, False])
def test_nothing_answers(api, monkeypatch, connects):
    monkeypatch.setattr(ml.forge.statuses, "TIMEOUT", (0.2, 0.2))
    with silent_port(connects=connects) as port:
        assert "Timeout: the forge cannot be reached" in failure(api, at=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["forge.invalid", "[x", "-.example", "127.0.0.1:99999"])
def test_an_address_that_cannot_be(api, host):
    with pytest.raises((PlatformError, UsageError)) as caught:
        tell(api, at=f"https://{host}/api")
    assert TOKEN not in str(caught.value)


# TLS.


@pytest.fixture
def secure(tmp_path):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with serving_forge(Api(), context) as found:
        yield found


def test_a_ca_that_is_named_is_trusted(secure, tmp_path):
    tell(secure, ca=str(tmp_path / "ca.pem"))
    assert secure.post.headers["authorization"] == f"Bearer {TOKEN}"


def test_another_is_not(secure, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert "SSLError: the forge cannot be reached" in failure(secure)
    assert secure.posts == []
