"""The stock ADBC Flight SQL driver against a running server: adbc_client.py URI TABLE.

Prints one JSON object a step; test_adbc.py judges them. `statement` needs Flight SQL;
`partition` reads by a plain Flight ticket through the same connection.
"""

import json
import sys

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow.flight


def say(step, **values):
    print(json.dumps({"step": step, **values}), flush=True)


def main(uri, table):
    sql = f"SELECT * FROM {table}"
    info = pyarrow.flight.FlightClient(uri).get_flight_info(
        pyarrow.flight.FlightDescriptor.for_command(sql))
    with flightsql.connect(uri) as connection:
        say("connect")
        with connection.cursor() as cursor:
            cursor.adbc_read_partition(info.serialize())
            result = cursor.fetch_arrow_table()
            say("partition", rows=result.num_rows, id_sum=sum(result["id"].to_pylist()))
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT count(*) FROM {table}")
                say("statement", code="OK", rows=cursor.fetchall()[0][0])
            except adbc_driver_manager.Error as error:
                say("statement", code=error.status_code.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
