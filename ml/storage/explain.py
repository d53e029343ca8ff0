"""An error of obstore, which has many lines, as one line: what happened, where, and what to do."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


TOKEN_SERVICE, METADATA_TOKEN = "POST REDACTED", "/latest/api/token"
"""How obstore writes a request to a web identity's token service, and to an instance's metadata service."""


NO_CREDENTIALS = "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


ANSWERS = {
    "NoSuchBucket": ("no such bucket", "create it, or correct the URI"),
    "InvalidAccessKeyId": ("unknown key", "check AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": ("wrong secret", "check AWS_SECRET_ACCESS_KEY"),
    "AccessDenied": ("access denied", "the credentials may not do this; see the policy of the bucket"),
    "ExpiredToken": ("expired credentials", "renew AWS_SESSION_TOKEN and its key"),
    "InvalidToken": ("wrong session token", "check AWS_SESSION_TOKEN"),
    "PermanentRedirect": ("wrong region", "check AWS_REGION"),
    "AuthorizationHeaderMalformed": ("wrong region", "check AWS_REGION"),
    "RequestTimeTooSkewed": ("clocks differ", "set the clock of this machine"),
}
"""Error codes of S3: what each means, and what to do."""


SILENCES = {
    r"InvalidCertificate\(\s*(\w+)": ("untrusted certificate", "name its CA's PEM file in AWS_CA_BUNDLE"),
    r"BadScheme": ("a token is sent over https only", "correct AWS_ENDPOINT_URL_STS"),
    r"InvalidContentType": ("no TLS", "should the endpoint begin with http://?"),
    r"dns error": ("unknown host", "check the endpoint"),
    r"(Connection refused)": ("cannot connect", "check the endpoint"),
    r"TimedOut|kind: Timeout|deadline has elapsed": ("no answer in time", "check endpoint and network"),
    r"kind: (Connect|Request|Interrupted)": ("cannot connect", "check endpoint and network"),
}
"""Patterns in obstore's text where there was no answer: what each means, and what to do."""


def explain(error: Exception) -> str:
    """Return one line that says what happened, where, and what to do; a message of obstore has many lines."""
    text = str(error).strip()
    status = re.search(r"status code: (\d{3})", text)
    if METADATA_TOKEN in text:
        return NO_CREDENTIALS
    if TOKEN_SERVICE in text and status:
        return f"HTTP {status[1]} at the token service: check AWS_ROLE_ARN and the role's trust policy"
    address = re.search(r"https?://[^/\s]+", text)
    where = "the token service" if TOKEN_SERVICE in text else address and address[0]
    if where and status:
        code = re.search(r"<Code>(\w+)</Code>", text)
        said = code[1] if code else {"403": "AccessDenied"}.get(status[1], "")
        what, todo = ANSWERS.get(said, (f"HTTP {status[1]} {said}".strip(), ""))
        return f"{what} at {where}" + (f": {todo}" if todo else "")
    if where and "HTTP error" in text:
        for pattern, (what, todo) in SILENCES.items():
            if match := re.search(pattern, text):
                detail = f" ({match[1]})" if match.groups() else ""
                return f"{what}{detail} at {where}: {todo}"
        return f"the request failed at {where}"
    return text.split("\n")[0].removeprefix("Generic S3 error: ")
