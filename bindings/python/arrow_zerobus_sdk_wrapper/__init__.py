"""Arrow record batches to Databricks Zerobus, under the names of arrow-zerobus-sdk-wrapper.

    from arrow_zerobus_sdk_wrapper import ZerobusWrapper

    async with ZerobusWrapper(endpoint=..., table_name="main.sales.orders", client_id=...,
                              client_secret=..., unity_catalog_url=...) as wrapper:
        result = await wrapper.send_batch(batch)

Existing code runs as it is, awaited or not. It is a thin layer over `arrowport.zerobus`, which
new code should use.
"""

from arrowport.zerobus import (AuthenticationError, ClosedError, ConfigurationError,
                               ConnectionError, ConversionError, ProtocolError, RetryExhausted,
                               SchemaError, TokenRefreshError, TransmissionError, ZerobusError)

from ._configuration import WrapperConfiguration, load_from_env, load_from_yaml
from ._result import TransmissionResult
from ._wrapper import ZerobusWrapper

PyWrapperConfiguration = WrapperConfiguration
"""The name some published examples use."""

__all__ = [
    "AuthenticationError", "ClosedError", "ConfigurationError", "ConnectionError",
    "ConversionError", "ProtocolError", "PyWrapperConfiguration", "RetryExhausted", "SchemaError",
    "TokenRefreshError", "TransmissionError", "TransmissionResult", "WrapperConfiguration",
    "ZerobusError", "ZerobusWrapper", "load_from_env", "load_from_yaml",
]
