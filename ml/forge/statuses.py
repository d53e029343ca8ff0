"""Set the status of a commit at GitHub, GitLab or Gitea, each by its one REST call.

The calls: GitHub "Create a commit status", GitLab "Set commit pipeline status", Gitea
"repoCreateStatus". To set the same status twice changes nothing, so that a retry is safe.
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
"""Characters of a description."""

MEANINGS = {
    401: "the token is refused",
    403: "the token may not set a status",
    404: "there is no such repository or commit, or the token may not see it",
    422: "there is no such commit",
}
API = re.compile(r"(https://[\w.-]+|http://(127\.0\.0\.1|localhost))(:\d+)?(/|$)")
"""A test's forge is on loopback; elsewhere plain HTTP would send the token in the open."""

LINK = re.compile(r"https://[!-~]{1,2000}")
TOKEN = re.compile(r"[!-~]*")
TIMEOUT = (10, 30)
PAUSES = (1, 3)
"""Seconds before the second and the third try, where the forge did not answer."""


@dataclass(frozen=True)
class Forge:
    """A repository at its forge.

    Args:
        provider: ``github``, ``gitlab`` or ``gitea``.
        api: the address of the API, "" for the usual one of the repository's host.
        repository: the address that the repository is cloned from.
        token: what may set a status.
        ca: a PEM file to trust in place of the usual roots, "" for those.
    """

    provider: str
    api: str
    repository: str
    token: str = field(repr=False)
    ca: str = ""

    def address(self, commit: str) -> str:
        """Return where the status of a commit is set.

        Raises:
            UsageError: the repository's address names no repository, or the API's is not https.
        """
        host, path = _parts(self.repository)
        usual = {
            "github": "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3",
            "gitlab": f"https://{host}/api/v4",
            "gitea": f"https://{host}/api/v1",
        }
        api = (self.api or usual[self.provider]).rstrip("/")
        if not API.match(api):
            raise UsageError(f"--api {_without_login(api)}: not an address that begins with https://")
        if self.provider == "gitlab":
            return f"{api}/projects/{quote(path, safe='')}/statuses/{commit}"
        return f"{api}/repos/{quote(path)}/statuses/{commit}"

    def set_status(self, commit: str, context: str, state: State, sentence: str, link: str) -> None:
        """Set the status.

        Args:
            commit: the full hash.
            context: the status's name; one commit has one status of each name.
            state: how it ended.
            sentence: why, in any words; it is made plain, and cut where the forge would refuse it.
            link: a page about it; left out if it is no address over https.

        Raises:
            PlatformError: the forge cannot be reached, or refuses. The message does not quote the token.
        """
        most, sentence = LONGEST[self.provider], plain(sentence, commit)
        body = {
            "state": STATES[self.provider][state],
            "description": sentence if len(sentence) <= most else f"{sentence[: most - 1]}…",
            "name" if self.provider == "gitlab" else "context": context,
            **({"target_url": link} if LINK.fullmatch(link) else {}),
        }
        address = self.address(commit)
        said, again = self._post(address, body)
        for pause in PAUSES:
            if again:
                time.sleep(pause)
                said, again = self._post(address, body)
        if said:
            raise PlatformError(
                f"the status of {commit[:12]} was not set at {urlsplit(address).hostname}: {said}"
            )

    def _post(self, address: str, body: dict[str, str]) -> tuple[str, bool]:
        """Send it once; returns what went wrong, and whether another try may help."""
        header = {"gitlab": ("PRIVATE-TOKEN", self.token), "gitea": ("Authorization", f"token {self.token}")}
        name, value = header.get(self.provider, ("Authorization", f"Bearer {self.token}"))
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self.ca or True
            try:
                session.proxies = requests.utils.get_environ_proxies(address)
                # A redirect would take the token elsewhere.
                answer = session.post(
                    address, json=body, headers={name: value}, timeout=TIMEOUT, allow_redirects=False
                )
            except (requests.RequestException, OSError, ValueError) as error:
                return f"{type(error).__name__}: it cannot be reached", True
        status = answer.status_code
        if 200 <= status < 300 and _is_object(answer):
            return "", False
        # GitLab refuses to set what is set already; from any other state it is a refusal.
        unchanged = f"from :{body['state']}" in answer.text.partition("Cannot transition status")[2]
        if self.provider == "gitlab" and unchanged:
            return "", False
        meaning = "that is no forge's API" if status < 400 else MEANINGS.get(status)
        again = status >= requests.codes.server_error or status == requests.codes.too_many_requests
        return f"it answers {status}" + (f": {meaning}" if meaning else ""), again


def require_token(name: str, token: str) -> None:
    """Make sure that a token can be sent in a header.

    Raises:
        UsageError: it cannot. The message does not quote it.
    """
    if not TOKEN.fullmatch(token):
        raise UsageError(f"{name}: a token has neither spaces nor letters beyond ASCII")


def _is_object(answer: requests.Response) -> bool:
    """Tell an API's answer from a login page."""
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _without_login(address: str) -> str:
    return re.sub(r"//.*@", "//", address)


def _parts(repository: str) -> tuple[str, str]:
    """Split the address of a repository, https or ssh, into host and path; the port of ssh is no API's."""
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
            f"--repository {_without_login(repository)}: not the address of a repository, as https://HOST/TEAM/NAME"
        )
    return host, path
