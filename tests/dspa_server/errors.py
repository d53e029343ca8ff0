"""Errors as the API server words them: google.rpc.Status as JSON."""

from typing import Any

STATUS = {3: 400, 5: 404, 6: 409, 12: 501, 13: 500}
PREFIX = {3: "Invalid input", 5: "ResourceNotFoundError", 6: "Already exist", 13: "InternalServerError"}


class ApiError(Exception):
    """A request is refused with a code of gRPC. An error of the gateway has no details."""

    def __init__(self, code: int, message: str, context: str = "", *, gateway: bool = False):
        super().__init__(message)
        self.code, self.status, self.gateway = code, STATUS[code], gateway
        prefix = PREFIX.get(code, "")
        self.text = message if gateway else f"{context}{': ' if context else ''}{prefix}: {message}"

    def body(self, gateway_version: int) -> dict[str, Any]:
        """Return the answer's JSON; the first version of the gateway has the message twice."""
        answer: dict[str, Any] = {"code": self.code, "message": self.text}
        if not self.gateway:
            detail = {"@type": "type.googleapis.com/google.rpc.Status"}
            answer["details"] = [{**detail, "code": self.code, "message": str(self)}]
        return {"error": self.text, **answer} if gateway_version == 1 else answer


def invalid(message: str, context: str = "") -> ApiError:
    return ApiError(3, message, context)


def malformed(message: str) -> ApiError:
    """Return an InvalidArgument of the gateway: the request did not reach the API server."""
    return ApiError(3, message, gateway=True)


def not_found(what: str, name: str, context: str = "") -> ApiError:
    return ApiError(5, f"{what} {name} not found", context)


def internal(message: str, context: str = "") -> ApiError:
    return ApiError(13, message, context)
