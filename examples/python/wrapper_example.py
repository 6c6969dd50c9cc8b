"""arrow_zerobus_sdk_wrapper called plainly inside a running loop, as its first examples do."""

import asyncio
import os

import pyarrow as pa
from arrow_zerobus_sdk_wrapper import WrapperConfiguration, ZerobusError, ZerobusWrapper


async def main():
    configuration = WrapperConfiguration(
        os.environ["ZEROBUS_ENDPOINT"], os.environ["ZEROBUS_TABLE_NAME"],
    ).with_credentials(os.environ["ZEROBUS_CLIENT_ID"], os.environ["ZEROBUS_CLIENT_SECRET"],
                       ).with_unity_catalog(os.environ["UNITY_CATALOG_URL"])
    try:
        wrapper = ZerobusWrapper(configuration)
    except ZerobusError as error:
        print(f"initialisation failed: {error}")
        return
    batch = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "name": ["Ada", "Ben", "Cleo"]})
    result = wrapper.send_batch(batch)
    if result.success:
        print(f"{result.total_rows} rows, {result.batch_size_bytes} bytes, "
              f"{result.attempts} attempt(s)")
    else:
        print(f"failed: {result.error}, {result.get_error_statistics()}")
    wrapper.shutdown()


asyncio.run(main())
