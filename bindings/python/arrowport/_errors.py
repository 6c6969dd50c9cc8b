"""Every exception of the package, below one class, and the one map from codes to classes."""

from __future__ import annotations


class Error(Exception):
    """Base of all exceptions of this package. Decide by class, `code` or `retriable`, never by
    the text."""

    code: str = "INTERNAL"
    """Stable name of the failure, as in the server's replies: "SCHEMA_MISMATCH"."""
    retriable: bool = False
    """Whether the same call may succeed later."""


class RequestError(Error):
    """The request or its data is wrong: sent again unchanged it fails again."""


class SchemaMismatchError(RequestError):
    """The data does not fit the table."""


class ConflictError(RequestError):
    """A key was used for other content, a sequence has a gap, or the thing already exists."""


class NotFoundError(RequestError):
    """A table, column, stream or ticket that does not exist."""


class AuthenticationError(Error):
    """The server does not know the caller or does not let it do this."""


class UnavailableError(Error):
    """No server, or one that cannot take the request now: try again later."""


class InternalError(Error):
    """A defect, or storage that is damaged."""


_CLASS_OF_CODE = {
    "INVALID_ARGUMENT": RequestError,
    "BAD_DATA": RequestError,
    "INCOMPLETE_STREAM": RequestError,
    "INVALID_NAME": RequestError,
    "UNSUPPORTED_TYPE": RequestError,
    "SCHEMA_DECLARATION_MISMATCH": SchemaMismatchError,
    "BAD_QUERY": RequestError,
    "BAD_CONFIG": RequestError,
    "SCHEMA_MISMATCH": SchemaMismatchError,
    "CONSTRAINT_VIOLATION": RequestError,
    "KEY_REUSED": ConflictError,
    "SEQUENCE_GAP": ConflictError,
    "TABLE_NOT_FOUND": NotFoundError,
    "COLUMN_NOT_FOUND": NotFoundError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": ConflictError,
    "METHOD_NOT_ALLOWED": RequestError,
    "UNSUPPORTED_MEDIA_TYPE": RequestError,
    "TOO_LARGE": RequestError,
    "UNAUTHENTICATED": AuthenticationError,
    "PERMISSION_DENIED": AuthenticationError,
    "NOT_BUILT": RequestError,
    "UNIMPLEMENTED": RequestError,
    "SNAPSHOT_TOO_OLD": RequestError,
    "COMMIT_CONFLICT": UnavailableError,
    "OVERLOADED": UnavailableError,
    "DRAINING": UnavailableError,
    "TIMEOUT": UnavailableError,
    "STORAGE_UNAVAILABLE": UnavailableError,
    "OUT_OF_MEMORY": UnavailableError,
    "NO_SPACE": UnavailableError,
    "UNREACHABLE": UnavailableError,
    "CANCELLED": UnavailableError,
    "STORAGE_CORRUPT": InternalError,
    "INTERNAL": InternalError,
}


class ZerobusError(Error):
    """Base of what `arrowport.zerobus` raises and reports."""

    kind: str = "Transmission"
    """Stable name: "Configuration", "Authentication", "Conversion" ..."""
    grpc_status: int | None = None
    """Final gRPC status of the call that failed, when there was one."""
    service_code: int | None = None
    """"Error Code: N" of the service, for logs and people."""
    schema_causes: tuple[str, ...] = ()
    """FIELD_NOT_IN_TABLE, MISSING_REQUIRED_COLUMN ...: only of a SchemaError."""

    @property
    def retryable(self) -> bool:
        """The same as `retriable`, in the service's spelling."""
        return self.retriable


class ConfigurationError(ZerobusError):
    """An option, a certificate or a name: fix it, then start again."""


class ZerobusAuthenticationError(ZerobusError):
    """The service or the token endpoint refused the credentials."""


class ConnectionError(ZerobusError):
    """No connection, or it was lost before the stream was open."""


class ConversionError(ZerobusError):
    """A row or a batch cannot be written in the table's types."""


class SchemaError(ZerobusError):
    """The service refused the schema; `schema_causes` says why."""


class TransmissionError(ZerobusError):
    """The service or the connection failed while rows were under way."""


class ProtocolError(ZerobusError):
    """The service broke the protocol."""


class RetryExhausted(ZerobusError):
    """Every attempt of an outage failed; the text holds the last cause."""


class TokenRefreshError(ZerobusError):
    """No token could be had, though the endpoint may answer later."""


class ClosedError(ZerobusError):
    """The writer was closed, or the wait for it was given up."""


ZerobusAuthenticationError.__name__ = ZerobusAuthenticationError.__qualname__ = "AuthenticationError"

CLASS_OF_KIND = {
    "Configuration": ConfigurationError,
    "Authentication": ZerobusAuthenticationError,
    "Connection": ConnectionError,
    "Conversion": ConversionError,
    "Schema": SchemaError,
    "Transmission": TransmissionError,
    "Protocol": ProtocolError,
    "RetryExhausted": RetryExhausted,
    "TokenRefresh": TokenRefreshError,
    "Closed": ClosedError,
}
for _kind, _class in CLASS_OF_KIND.items():
    _class.kind = _kind
    _class.code = _kind
for _class in (RequestError, SchemaMismatchError, ConflictError, NotFoundError, AuthenticationError,
               UnavailableError, InternalError, *CLASS_OF_KIND.values()):
    _class.__module__ = "arrowport.zerobus" if issubclass(_class, ZerobusError) else "arrowport"
Error.__module__ = "arrowport"
ZerobusError.__module__ = "arrowport.zerobus"


def make_error(code: str, message: str, retriable: bool) -> Error:
    """The exception of a failure of the Arrowport client. Called by the extension."""
    error = _CLASS_OF_CODE.get(code, InternalError)(message)
    error.code = code
    error.retriable = retriable
    return error


def make_zerobus_error(kind, message, retryable, grpc_status, service_code, schema_causes):
    """The exception of a failure of the Zerobus client. Called by the extension."""
    error = CLASS_OF_KIND.get(kind, ZerobusError)(message)
    error.kind = kind
    error.retriable = retryable
    error.grpc_status = grpc_status
    error.service_code = service_code
    error.schema_causes = tuple(schema_causes)
    return error
