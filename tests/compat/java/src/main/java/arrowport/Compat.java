package arrowport;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.PutResult;
import org.apache.arrow.flight.SyncPutListener;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * The stock Java Flight client against a running server: {@code Compat PORT TABLE}. Prints one JSON
 * object a step; test_java.py judges them.
 */
public final class Compat {
  private static final int BATCHES = 3;
  private static final int BATCH_ROWS = 1000;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Schema SCHEMA =
      new Schema(
          List.of(
              Field.nullable("id", new ArrowType.Int(64, true)),
              Field.nullable("name", ArrowType.Utf8.INSTANCE),
              Field.nullable(
                  "value", new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE))));

  private final FlightClient client;
  private final BufferAllocator allocator;

  private Compat(FlightClient client, BufferAllocator allocator) {
    this.client = client;
    this.allocator = allocator;
  }

  private static void print(String step, ObjectNode value) throws Exception {
    value.put("step", step);
    System.out.println(JSON.writeValueAsString(value));
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static void fill(VectorSchemaRoot root, long first) {
    BigIntVector id = (BigIntVector) root.getVector("id");
    VarCharVector name = (VarCharVector) root.getVector("name");
    Float8Vector value = (Float8Vector) root.getVector("value");
    root.allocateNew();
    for (int row = 0; row < BATCH_ROWS; ++row) {
      id.setSafe(row, first + row);
      name.setSafe(row, utf8("row " + (first + row)));
      if ((first + row) % 7 == 0) {
        value.setNull(row);
      } else {
        value.setSafe(row, (first + row) / 2.0);
      }
    }
    root.setRowCount(BATCH_ROWS);
  }

  private ArrayNode put(String command) throws Exception {
    ArrayNode acks = JSON.createArrayNode();
    try (VectorSchemaRoot root = VectorSchemaRoot.create(SCHEMA, allocator);
        SyncPutListener replies = new SyncPutListener()) {
      FlightClient.ClientStreamListener upload =
          client.startPut(FlightDescriptor.command(utf8(command)), root, replies);
      for (int batch = 0; batch < BATCHES; ++batch) {
        fill(root, (long) batch * BATCH_ROWS);
        upload.putNext();
      }
      upload.completed();
      for (PutResult reply = replies.read(); reply != null; reply = replies.read()) {
        byte[] bytes = new byte[(int) reply.getApplicationMetadata().readableBytes()];
        reply.getApplicationMetadata().getBytes(0, bytes);
        acks.add(JSON.readTree(bytes));
        reply.close();
      }
      upload.getResult();
    }
    return acks;
  }

  private ObjectNode get(Ticket ticket) throws Exception {
    long rows = 0;
    long sum = 0;
    long nulls = 0;
    try (FlightStream stream = client.getStream(ticket)) {
      while (stream.next()) {
        VectorSchemaRoot root = stream.getRoot();
        rows += root.getRowCount();
        BigIntVector id = (BigIntVector) root.getVector("id");
        for (int row = 0; row < root.getRowCount(); ++row) {
          sum += id.get(row);
        }
        nulls += root.getVector("value").getNullCount();
      }
    }
    return JSON.createObjectNode().put("rows", rows).put("id_sum", sum).put("nulls", nulls);
  }

  private interface Step {
    void run() throws Exception;
  }

  private static void describe(FlightRuntimeException failure, ObjectNode result) {
    result.put("code", failure.status().code().name());
    result.put("message", failure.status().description());
  }

  private static void expectFailure(String step, Step body) throws Exception {
    ObjectNode result = JSON.createObjectNode();
    try {
      body.run();
      result.put("code", "OK");
    } catch (FlightRuntimeException failure) {
      describe(failure, result);
    } catch (ExecutionException failure) {
      if (!(failure.getCause() instanceof FlightRuntimeException)) {
        throw failure;
      }
      describe((FlightRuntimeException) failure.getCause(), result);
    }
    print(step, result);
  }

  private void run(String table) throws Exception {
    String command = JSON.writeValueAsString(JSON.createObjectNode().put("stream_name", table));
    print("put", JSON.createObjectNode().set("acks", put(command)));

    String sql = "SELECT * FROM " + table;
    print("get_by_ticket", get(new Ticket(utf8(sql))));

    FlightInfo info = client.getInfo(FlightDescriptor.command(utf8(sql)));
    print("get_by_info", get(info.getEndpoints().get(0).getTicket()));

    ArrayNode paths = JSON.createArrayNode();
    for (FlightInfo flight : client.listFlights(Criteria.ALL)) {
      JsonNode path = JSON.valueToTree(flight.getDescriptor().getPath());
      paths.add(path);
    }
    print("list", JSON.createObjectNode().set("paths", paths));

    expectFailure("bad_sql", () -> get(new Ticket(utf8("SELEC 1"))));
    expectFailure("missing_table", () -> get(new Ticket(utf8("SELECT * FROM no_such_table"))));
    expectFailure("bad_put", () -> put("SELECT 1"));
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 2) {
      System.err.println("usage: Compat PORT TABLE");
      System.exit(2);
    }
    Location location =
        Location.forGrpcInsecure("127.0.0.1", Integer.parseInt(arguments[0]));
    try (BufferAllocator allocator = new RootAllocator();
        FlightClient client = FlightClient.builder(allocator, location).build()) {
      new Compat(client, allocator).run(arguments[1]);
    }
  }
}
