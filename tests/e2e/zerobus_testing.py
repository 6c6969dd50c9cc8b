"""The Zerobus emulator under test: `arrowport zerobus emulate` and its control interface."""

import base64
import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from arrowport_testing import binary, child_of_test, clean_environment, poll_until

TABLE = "main.web.events"
CLIENT = ("tester", "s3cret")


SQL_NAMES = {"long": "bigint", "short": "smallint"}


def sql_text(spark_type):
    """A Spark JSON type as Unity Catalog's type_text."""
    if isinstance(spark_type, str):
        return SQL_NAMES.get(spark_type, spark_type)
    if spark_type["type"] == "array":
        return f"array<{sql_text(spark_type['elementType'])}>"
    return "struct<" + ",".join(f"{field['name']}:{sql_text(field['type'])}"
                                for field in spark_type["fields"]) + ">"


def column(name, type_name, spark_type, position, nullable=True, **more):
    return {"name": name, "type_name": type_name, "type_text": sql_text(spark_type),
            "type_json": json.dumps({"name": name, "type": spark_type, "nullable": nullable,
                                     "metadata": {}}),
            "nullable": nullable, "position": position, **more}


COLUMNS = [
    column("id", "LONG", "long", 0, nullable=False),
    column("name", "STRING", "string", 1),
    column("price", "DECIMAL", "decimal(10,2)", 2, type_precision=10, type_scale=2),
    column("tags", "ARRAY", {"type": "array", "elementType": "string", "containsNull": True}, 3),
    column("at", "TIMESTAMP", "timestamp", 4),
    column("place", "STRUCT", {"type": "struct", "fields": [
        {"name": "city", "type": "string", "nullable": True, "metadata": {}},
        {"name": "floor", "type": "short", "nullable": False, "metadata": {}}]}, 5),
]


class Emulator:
    """One emulator on free ports. A context manager: what still runs is killed."""

    def __init__(self, folder, *arguments, tables=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "rows.log"
        self.ready_path = self.folder / "ready.json"
        (self.folder / "tables.json").write_text(
            json.dumps(tables or {TABLE: {"columns": COLUMNS}}))
        self.command = [binary(), "zerobus", "emulate", "--tables", self.folder / "tables.json",
                        "--client", ":".join(CLIENT), "--log", self.log_path,
                        "--ready-file", self.ready_path, *arguments]
        self.process = None

    def __enter__(self):
        with open(self.folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(
                child_of_test(self.command), env=clean_environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output)

        def up():
            assert self.process.poll() is None, (self.folder / "output.txt").read_text()
            with contextlib.suppress(FileNotFoundError):
                return json.loads(self.ready_path.read_text())
            return None

        self.ready = poll_until(up, 30, "readiness")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self):
        """Ends in order; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    @property
    def grpc_url(self):
        return f"http://127.0.0.1:{self.ready['grpc']}"

    @property
    def http_url(self):
        return f"http://127.0.0.1:{self.ready['http']}"

    # HTTP.

    def request(self, method, path, body=None, headers=None, seconds=20):
        """(status, headers, body) of one request."""
        request = urllib.request.Request(self.http_url + path, method=method, data=body,
                                         headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def control(self, method, path, body=None, expect=200, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        status, _, text = self.request(method, "/control/" + path, data)
        assert status == expect, text
        return json.loads(text)

    def script(self, **script):
        self.control("PUT", "script", script)

    def counters(self, table=None):
        counters = self.control("GET", "counters")
        return counters["tables"].get(table, {}) if table else counters["all"]

    def wait_for(self, seconds=10, **least):
        """Waits until each counter named has at least its value; all counters."""

        def reached():
            counters = self.counters()
            return counters if all(counters[k] >= v for k, v in least.items()) else None

        return poll_until(reached, seconds, str(least))

    def rows(self):
        """What is logged: [{"table", "stream", "connection", "offset", "rows", "ids"}]."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def ids(self):
        return [row_id for line in self.rows() for row_id in line["ids"]]

    # Tokens.

    def token_form(self, table=TABLE, **changes):
        catalog, schema, _ = table.split(".")
        details = [
            {"type": "unity_catalog_privileges", "object_type": "CATALOG",
             "object_full_path": catalog, "privileges": ["USE CATALOG"]},
            {"type": "unity_catalog_privileges", "object_type": "SCHEMA",
             "object_full_path": f"{catalog}.{schema}", "privileges": ["USE SCHEMA"]},
            {"type": "unity_catalog_privileges", "object_type": "TABLE",
             "object_full_path": table, "privileges": ["SELECT", "MODIFY"],
             "operations": ["zerobuswrite"]}]
        form = {"grant_type": "client_credentials", "scope": "all-apis",
                "resource": "api://databricks/workspaces/127/zerobusDirectWriteApi",
                "authorization_details": json.dumps(details)}
        form.update(changes)
        return {name: value for name, value in form.items() if value is not None}

    def ask_token(self, form, client=CLIENT, **options):
        basic = base64.b64encode(":".join(client).encode()).decode()
        headers = {"Content-Type": "application/x-www-form-urlencoded",
                   "Authorization": "Basic " + basic}
        return self.request("POST", "/oidc/v1/token", urllib.parse.urlencode(form).encode(),
                            headers, **options)

    def token(self, table=TABLE):
        status, _, body = self.ask_token(self.token_form(table))
        assert status == 200, body
        return json.loads(body)["access_token"]

    def metadata(self, table=TABLE, token=None):
        return [("authorization", "Bearer " + (token or self.token(table))),
                ("x-databricks-zerobus-table-name", table)]
