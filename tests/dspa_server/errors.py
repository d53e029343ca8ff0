"""Errors as the API server words them: google.rpc.Status as JSON."""

from typing import Any

INVALID, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION = 3, 5, 6, 9
UNIMPLEMENTED, INTERNAL = 12, 13

HTTP_STATUS = {
    INVALID: 400,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    FAILED_PRECONDITION: 400,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
}
PREFIX = {
    INVALID: "Invalid input error: ",
    NOT_FOUND: "ResourceNotFoundError: ",
    ALREADY_EXISTS: "Already exist error: ",
    INTERNAL: "InternalServerError: ",
}


class ApiError(Exception):
    """A request is refused. What the gateway itself refuses has no details."""

    def __init__(self, code: int, message: str, context: str = "", *, gateway: bool = False):
        super().__init__(message)
        self.code = code
        self.external = message
        self.context = context
        self.gateway = gateway

    @property
    def status(self) -> int:
        """The HTTP status."""
        return HTTP_STATUS[self.code]

    def body(self, gateway_version: int) -> dict[str, Any]:
        """Return the answer's JSON."""
        text = self.external
        if not self.gateway:
            text = f"{self.context}{': ' if self.context else ''}{PREFIX.get(self.code, '')}{text}"
        found: dict[str, Any] = {"code": self.code, "message": text}
        if not self.gateway:
            detail = {"@type": "type.googleapis.com/google.rpc.Status"}
            found["details"] = [{**detail, "code": self.code, "message": self.external}]
        return {"error": text, **found} if gateway_version == 1 else found


def invalid(message: str, context: str = "") -> ApiError:
    """Make an InvalidArgument of the API server."""
    return ApiError(INVALID, message, context)


def malformed(message: str) -> ApiError:
    """Make an InvalidArgument of the gateway, which never reached the API server."""
    return ApiError(INVALID, message, gateway=True)


def not_found(what: str, name: str, context: str = "") -> ApiError:
    """Make a NotFound."""
    return ApiError(NOT_FOUND, f"{what} {name} not found", context)


def internal(message: str, context: str = "") -> ApiError:
    """Make an Internal error."""
    return ApiError(INTERNAL, message, context)
