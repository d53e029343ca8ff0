"""Set the status of a commit at GitHub, GitLab or Gitea, with one REST call each.

The calls are GitHub's "Create a commit status", GitLab's "Set commit pipeline status" and Gitea's
"repoCreateStatus". A retry is safe: setting the same status twice changes nothing.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

import requests

from ml.core.errors import PlatformError, UsageError
from ml.forge.plain import plain
from ml.forge.summary import State

Provider = Literal["github", "gitlab", "gitea"]
STATES: dict[str, dict[State, str]] = {
    "github": {"success": "success", "failure": "failure", "error": "error"},
    "gitea": {"success": "success", "failure": "failure", "error": "error"},
    "gitlab": {"success": "success", "failure": "failed", "error": "failed"},
}
LONGEST = {"github": 140, "gitlab": 255, "gitea": 255}
"""The largest number of characters in a description."""

MEANINGS = {
    401: "the token is refused",
    403: "the token may not set a status",
    404: "the repository or commit does not exist, or the token may not read it",
    422: "the commit does not exist",
}
API = re.compile(r"(https://[\w.-]+|http://(127\.0\.0\.1|localhost))(:\d+)?(/|$)")
"""Plain HTTP is for tests on loopback only; elsewhere it would send the token in the clear."""

LINK = re.compile(r"https://[!-~]{1,2000}")
TOKEN = re.compile(r"[!-~]*")
TIMEOUT = (10, 30)
PAUSES = (1, 3)
"""Seconds before the second and the third try, if the forge did not answer or was busy."""


@dataclass(frozen=True)
class Forge:
    """A repository at its forge.

    Args:
        provider: ``github``, ``gitlab`` or ``gitea``.
        api: the address of the API, "" for the default of the repository's host.
        repository: the address that the repository is cloned from.
        token: a token with the right to set a status.
        ca: a PEM file to trust instead of the default roots, "" for the default roots.
    """

    provider: str
    api: str
    repository: str
    token: str = field(repr=False)
    ca: str = ""

    def address(self, commit: str) -> str:
        """Return the address of the API that sets the status of a commit.

        Raises:
            UsageError: the repository's address is not valid, or the API's address is not https.
        """
        host, path = _parts(self.repository)
        defaults = {
            "github": "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3",
            "gitlab": f"https://{host}/api/v4",
            "gitea": f"https://{host}/api/v1",
        }
        api = (self.api or defaults[self.provider]).rstrip("/")
        if not API.match(api):
            raise UsageError(f"--api {_without_login(api)}: must be an address that begins with https://")
        if self.provider == "gitlab":
            return f"{api}/projects/{quote(path, safe='')}/statuses/{commit}"
        return f"{api}/repos/{quote(path)}/statuses/{commit}"

    def set_status(self, commit: str, context: str, state: State, sentence: str, link: str) -> None:
        """Set the status.

        Args:
            commit: the full hash.
            context: the status's name; a commit has one status of each name.
            state: the outcome of the run.
            sentence: the reason; it is neutralised, and cut to the limit of the forge.
            link: a page about the run; left out unless it is an https address.

        Raises:
            PlatformError: the forge cannot be reached, or refuses. The message does not quote the token.
        """
        limit, sentence = LONGEST[self.provider], plain(sentence, commit)
        body = {
            "state": STATES[self.provider][state],
            "description": sentence if len(sentence) <= limit else f"{sentence[: limit - 1]}…",
            "name" if self.provider == "gitlab" else "context": context,
            **({"target_url": link} if LINK.fullmatch(link) else {}),
        }
        address = self.address(commit)
        problem, again = self._post(address, body)
        for pause in PAUSES:
            if again:
                time.sleep(pause)
                problem, again = self._post(address, body)
        if problem:
            raise PlatformError(
                f"the status of {commit[:12]} was not set at {urlsplit(address).hostname}: {problem}"
            )

    def _post(self, address: str, body: dict[str, str]) -> tuple[str, bool]:
        """Send the status once; returns the problem, or "", and whether another try may help."""
        header = {"gitlab": ("PRIVATE-TOKEN", self.token), "gitea": ("Authorization", f"token {self.token}")}
        name, value = header.get(self.provider, ("Authorization", f"Bearer {self.token}"))
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self.ca or True
            try:
                session.proxies = requests.utils.get_environ_proxies(address)
                # A redirect could send the token to another host.
                answer = session.post(
                    address, json=body, headers={name: value}, timeout=TIMEOUT, allow_redirects=False
                )
            except (requests.RequestException, OSError, ValueError) as error:
                return f"{type(error).__name__}: the forge cannot be reached", True
        status = answer.status_code
        if 200 <= status < 300 and _is_object(answer):
            return "", False
        # GitLab refuses to set the state that is already set. A refusal from another state is an error.
        unchanged = f"from :{body['state']}" in answer.text.partition("Cannot transition status")[2]
        if self.provider == "gitlab" and unchanged:
            return "", False
        meaning = "this is not the API of a forge" if status < 400 else MEANINGS.get(status)
        again = status >= requests.codes.server_error or status == requests.codes.too_many_requests
        return f"the forge answers {status}" + (f": {meaning}" if meaning else ""), again


def require_token(name: str, token: str) -> None:
    """Check that a token can be sent in a header.

    Args:
        name: the variable with the token.
        token: the token.

    Raises:
        UsageError: it cannot. The message does not quote it.
    """
    if not TOKEN.fullmatch(token):
        raise UsageError(f"{name}: a token must have no spaces and only ASCII characters")


def _is_object(answer: requests.Response) -> bool:
    """Return whether an answer is an API's, and not a login page."""
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _without_login(address: str) -> str:
    return re.sub(r"//.*@", "//", address)


def _parts(repository: str) -> tuple[str, str]:
    """Return host and path of a repository's address. The port of an ssh address is not the API's port."""
    scp = re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!/)(.+)", repository)
    try:
        parsed = urlsplit(f"ssh://{scp[1]}/{scp[2]}" if scp else repository)
        host = parsed.hostname or ""
        host += f":{parsed.port}" if parsed.port and parsed.scheme == "https" else ""
    except ValueError:
        host = ""
    path = parsed.path.strip("/").removesuffix(".git") if host else ""
    if "/" not in path:
        raise UsageError(
            f"--repository {_without_login(repository)}: must be the address of a repository, as https://HOST/TEAM/NAME"
        )
    return host, path
