"""The REST call of each forge: its address, header and body, and the meaning of its answers."""

import ssl

import pytest
import trustme
from forges import COMMIT, REPOSITORY, TOKEN, serving_forge
from servers import closed_port, silent_port

import ml.forge.statuses
from ml.core.errors import PlatformError, UsageError
from ml.forge.statuses import Forge, require_token

LINK = "https://dspa.example/runs/1"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(ml.forge.statuses, "PAUSES", (0.01, 0.01))


def send(api, provider="github", state="success", sentence="promoted", link=LINK, at="", ca="") -> None:
    forge = Forge(provider, at or api.url, REPOSITORY, TOKEN, ca)
    assert TOKEN not in repr(forge)
    forge.set_status(COMMIT, "jukebox", state, sentence, link)


def failure(api, *arguments, **settings) -> str:
    """Check that it fails in one line without the token, and return the line."""
    with pytest.raises(PlatformError) as caught:
        send(api, *arguments, **settings)
    text = str(caught.value)
    assert text.startswith(f"the status of {COMMIT[:12]} was not set at ")
    assert text.isprintable()
    assert TOKEN not in text
    return text


REPOS, PROJECTS = f"/repos/team/jukebox/statuses/{COMMIT}", f"/projects/team%2Fjukebox/statuses/{COMMIT}"
FORGES = {
    "github": (REPOS, "authorization", f"Bearer {TOKEN}", "context", ("success", "failure", "error")),
    "gitlab": (PROJECTS, "private-token", TOKEN, "name", ("success", "failed", "failed")),
    "gitea": (REPOS, "authorization", f"token {TOKEN}", "context", ("success", "failure", "error")),
}


@pytest.mark.parametrize("provider", FORGES)
def test_what_is_sent_without_a_login_of_the_machine(api, provider, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    path, header, value, name, words = FORGES[provider]
    for state, word in zip(("success", "failure", "error"), words, strict=True):
        send(api, provider, state)
        post = api.posts.pop()
        assert (post.path, post.headers[header]) == (path, value)
        assert {"authorization", "private-token"} & post.headers.keys() == {header}
        assert post.headers["content-type"] == "application/json"
        assert post.body == {"state": word, "description": "promoted", name: "jukebox", "target_url": LINK}


@pytest.mark.parametrize("link", ["", "http://dspa.example/runs/1", "javascript:alert(1)"])
def test_a_link_that_is_not_https_is_left_out(api, link):
    send(api, link=link)
    assert "target_url" not in api.post.body


@pytest.mark.parametrize(("provider", "limit"), [("github", 140), ("gitlab", 255), ("gitea", 255)])
def test_a_long_sentence_is_cut(api, provider, limit):
    for length in (limit, limit + 1, 10_000):
        send(api, provider, sentence="é" * length)
    whole, *cut = (post.body["description"] for post in api.posts)
    assert (whole, cut) == ("é" * limit, ["é" * (limit - 1) + "…"] * 2)


GITHUB = "https://api.github.com/repos/team/jukebox"
ADDRESSES = [
    ("github", "", "https://github.com/team/jukebox", GITHUB),
    ("github", "", "https://github.com/team/jukebox.git", GITHUB),
    ("github", "", "https://github.com/team/jukebox/", GITHUB),
    ("github", "", "git@github.com:team/jukebox.git", GITHUB),
    ("github", "", "https://ghe.example/team/jukebox", "https://ghe.example/api/v3/repos/team/jukebox"),
    ("github", "", "https://user:pw@ghe.example/team/x", "https://ghe.example/api/v3/repos/team/x"),
    ("gitlab", "", "https://gitlab.com/team/x.git", "https://gitlab.com/api/v4/projects/team%2Fx"),
    ("gitlab", "", "git@gl.example:a/b/c-d.git", "https://gl.example/api/v4/projects/a%2Fb%2Fc-d"),
    ("gitlab", "", "ssh://git@gl.example:2222/a/b.git", "https://gl.example/api/v4/projects/a%2Fb"),
    ("gitea", "", "https://gt.example:3000/a/b", "https://gt.example:3000/api/v1/repos/a/b"),
    ("gitea", "", "http://gt.example:3000/a/b", "https://gt.example/api/v1/repos/a/b"),
    ("gitea", "", "git://gt.example:9418/a/b.git", "https://gt.example/api/v1/repos/a/b"),
    ("gitea", "", "https://gt.example/a b/é?c#d", "https://gt.example/api/v1/repos/a%20b/%C3%A9"),
    ("github", "https://api.example/v3", REPOSITORY, "https://api.example/v3/repos/team/jukebox"),
    ("github", "https://api.example/v3/", REPOSITORY, "https://api.example/v3/repos/team/jukebox"),
    ("github", "http://localhost:80/v3", REPOSITORY, "http://localhost:80/v3/repos/team/jukebox"),
]


@pytest.mark.parametrize(("provider", "api", "repository", "address"), ADDRESSES)
def test_the_address_is_the_repositorys_default_or_the_named_one(provider, api, repository, address):
    assert Forge(provider, api, repository, TOKEN).address(COMMIT) == f"{address}/statuses/{COMMIT}"


NO_REPOSITORIES = """
jukebox /srv/git/jukebox https://forge.example https://forge.example/jukebox https://[x/a/b
https://forge.example:port/a/b https://user:canary@forge.example/jukebox git@forge.example:jukebox
""".split()
NO_APIS = """
http://forge.example/api forge.example/api ftp://forge.example //forge.example https:// http://localhost.example/
http://127.0.0.1.example/ https://user:canary@forge.example/api
""".split()


@pytest.mark.parametrize(
    ("api", "repository", "said"),
    [
        *(("", repository, "must be the address of a repository") for repository in ("", *NO_REPOSITORIES)),
        *((api, REPOSITORY, "must be an address that begins with https://") for api in NO_APIS),
    ],
)
def test_an_address_that_is_not_valid_is_refused_and_its_password_not_quoted(api, repository, said):
    with pytest.raises(UsageError, match=said) as caught:
        Forge("github", api, repository, TOKEN).address(COMMIT)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "two\nlines", "tökén", "a\x00b", "tab\t"])
def test_a_token_that_is_not_valid_is_refused_and_not_quoted(token):
    with pytest.raises(UsageError, match=r"^NAME: a token must have no spaces") as caught:
        require_token("NAME", token)
    assert token not in str(caught.value)


REFUSALS = [(400, "")]
REFUSALS += [(401, ": the token is refused"), (403, ": the token may not set a status")]
REFUSALS += [(404, ": the repository or commit does not exist"), (422, ": the commit does not exist")]
REFUSALS += [(status, ": this is not the API of a forge") for status in (300, 301, 302, 303, 304, 307, 308)]


@pytest.mark.parametrize(("status", "meaning"), REFUSALS)
@pytest.mark.parametrize("provider", FORGES)
def test_a_refusal_is_final_a_redirect_is_not_followed_and_nothing_is_quoted(api, provider, status, meaning):
    api.answers = [(status, f'{{"message": "\x1b[31m{TOKEN}"}}'.encode())]
    api.headers = {"Location": f"{api.url}/elsewhere"} if provider == "github" else {}
    assert f" at 127.0.0.1: the forge answers {status}{meaning}" in failure(api, provider)
    assert len(api.posts) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_forge_that_is_down_is_asked_three_times(api, status):
    api.answers = [(status, b"no"), (status, b"no"), (201, b"{}")]
    send(api)
    assert len(api.posts) == 3
    api.answers = [(status, b"no")]
    assert f"the forge answers {status}" in failure(api)
    assert len(api.posts) == 6


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"", b"[]", b"1"])
def test_a_login_page_is_no_success(api, body):
    api.answers = [(200, body)]
    assert "the forge answers 200: this is not the API of a forge" in failure(api)


TRANSITIONS = [("success", "success", True), ("failure", "failed", True), ("error", "failed", True)]
TRANSITIONS += [("failure", "success", False), ("success", "failed", False), ("success", "canceled", False)]


@pytest.mark.parametrize(("state", "before", "accepted"), TRANSITIONS)
def test_gitlab_may_refuse_the_state_that_is_set_already(api, state, before, accepted):
    message = f"Cannot transition status via :any from :{before} (Reason(s): Status cannot …)"
    api.answers = [(400, f'{{"message": "{message}"}}'.encode())]
    if accepted:
        send(api, "gitlab", state)
    else:
        assert "the forge answers 400" in failure(api, "gitlab", state)
    assert "the forge answers 400" in failure(api, "github", state)


def test_a_forge_that_does_not_answer_is_an_error(api, monkeypatch):
    refused = failure(api, at=f"http://127.0.0.1:{closed_port()}")
    assert "ConnectionError: the forge cannot be reached" in refused
    monkeypatch.setattr(ml.forge.statuses, "TIMEOUT", (0.2, 0.2))
    for connects in (True, False):
        with silent_port(connects=connects) as port:
            assert "Timeout: the forge cannot be reached" in failure(api, at=f"http://127.0.0.1:{port}")
    for host in ("forge.invalid", "-.example", "127.0.0.1:99999"):
        with pytest.raises((PlatformError, UsageError)) as caught:
            send(api, at=f"https://{host}/api")
        assert TOKEN not in str(caught.value)


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
        assert secure.post.headers["authorization"] == f"Bearer {TOKEN}"
