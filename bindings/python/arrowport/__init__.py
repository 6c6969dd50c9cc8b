"""Arrowport: where Arrow lands.

    import arrowport

    with arrowport.Client("http://127.0.0.1:8888") as client:
        receipt = client.send("events", table)
        rows = client.query("SELECT count(*) FROM events").read_all()

Data goes in from whatever speaks the Arrow PyCapsule interface (pyarrow, Polars, pandas,
DuckDB relations, nanoarrow), without a copy. `arrowport.zerobus` sends the same data to
Databricks Zerobus.
"""

import pyarrow as _pyarrow  # noqa: F401  its libraries are the extension's: they load first

from ._client import AsyncClient, AsyncWriter, Client, QueryResult, Writer
from ._errors import (AuthenticationError, ConflictError, Error, InternalError, NotFoundError,
                      RequestError, SchemaMismatchError, UnavailableError)
from ._native import Ack, Receipt, __version__
from . import zerobus

__all__ = [
    "Ack", "AsyncClient", "AsyncWriter", "AuthenticationError", "Client", "ConflictError", "Error",
    "InternalError", "NotFoundError", "QueryResult", "Receipt", "RequestError",
    "SchemaMismatchError", "UnavailableError", "Writer", "__version__", "zerobus",
]
