"""Sends batches by Zerobus, blocking and with asyncio. The connection stands in the environment."""

import asyncio
import os

import pyarrow as pa
from arrowport import zerobus

options = (zerobus.Options(os.environ["ZEROBUS_ENDPOINT"], os.environ["ZEROBUS_TABLE_NAME"])
           .with_credentials(os.environ["ZEROBUS_CLIENT_ID"], os.environ["ZEROBUS_CLIENT_SECRET"])
           .with_unity_catalog(os.environ["UNITY_CATALOG_URL"]))


def batch_of(first):
    return pa.record_batch({"id": pa.array(range(first, first + 3), pa.int64()),
                            "name": ["Ada", "Ben", None]})


with zerobus.Writer(options) as writer:
    result = writer.send_batch(batch_of(0))
    print(f"blocking: {result.successful_count} of {result.total_rows} rows durable")


async def main():
    async with zerobus.AsyncWriter(options) as writer:
        pending = [await writer.submit(batch_of(3 * n)) for n in range(1, 4)]
        results = await asyncio.gather(*pending)
        print(f"asyncio: {sum(result.successful_count for result in results)} rows durable")


asyncio.run(main())
