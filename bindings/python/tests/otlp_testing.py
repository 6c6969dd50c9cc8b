"""An OTLP/HTTP collector inside a test, decoding with the official message classes."""

import http.server
import threading

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MESSAGES = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/traces": ExportTraceServiceRequest}


def texts(attributes):
    """{key: value} of a list of KeyValue."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def number(metric, point):
    """The value of a sum's point, which must be there also when it is 0; a histogram's count."""
    if not metric.HasField("sum"):
        return point.count
    assert point.WhichOneof("value") == "as_int", metric.name
    return point.as_int


class Collector:
    """Keeps what it is sent. `status`: what it answers; None: nothing. A context manager."""

    def __init__(self):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = MESSAGES[self.path].FromString(body)
                with collector.lock:
                    collector.received.append((self.path, self.headers, message))
                    collector.bodies.append(body)
                if collector.status is None:
                    collector.ended.wait(60)
                    return
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.received = []
        self.bodies = []
        self.status = 200
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def of(self, path):
        with self.lock:
            return [(headers, message) for at, headers, message in self.received if at == path]

    def spans(self):
        return [span for _, message in self.of("/v1/traces") for resource in message.resource_spans
                for scope in resource.scope_spans for span in scope.spans]

    def newest_metrics(self):
        """{name: [(own attributes, value or count)]} of the newest export."""
        _, message = self.of("/v1/metrics")[-1]
        return {metric.name: [(texts(point.attributes), number(metric, point))
                              for point in (metric.sum if metric.HasField("sum")
                                            else metric.histogram).data_points]
                for resource in message.resource_metrics for scope in resource.scope_metrics
                for metric in scope.metrics}
