"""arrow_zerobus_sdk_wrapper, awaited. The connection stands in the environment."""

import asyncio
import os

import pyarrow as pa
from arrow_zerobus_sdk_wrapper import ZerobusWrapper


async def main():
    wrapper = ZerobusWrapper(
        endpoint=os.environ["ZEROBUS_ENDPOINT"],
        table_name=os.environ["ZEROBUS_TABLE_NAME"],
        client_id=os.environ["ZEROBUS_CLIENT_ID"],
        client_secret=os.environ["ZEROBUS_CLIENT_SECRET"],
        unity_catalog_url=os.environ["UNITY_CATALOG_URL"],
    )
    batch = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "name": ["Ada", "Ben", "Cleo"]})
    result = await wrapper.send_batch(batch)
    if result.success:
        print(f"{result.successful_count} rows are durable after {result.latency_ms} ms")
    elif result.is_partial_success():
        bad = result.extract_failed_batch(batch)
        print(f"{bad.num_rows} rows failed: {result.group_errors_by_type()}")
    else:
        print(f"the send failed: {result.error}")
    await wrapper.shutdown()


asyncio.run(main())
