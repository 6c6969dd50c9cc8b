"""Java: flight-core on grpc-java and netty."""

from clients import CLIENTS


def test_flight_core(server, run_client, judge):
    jars = CLIENTS / "java" / "dependency"
    classes = CLIENTS / "java" / "classes"
    command = ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{classes}:{jars}/*",
               "arrowport.Compat", server.flight_port, "from_java"]
    judge(run_client(command, jars, "java"), "from_java")
