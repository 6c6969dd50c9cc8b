//! The stock arrow-flight client against a running server. Prints one JSON object a step;
//! test_rust.py judges them.
//!
//!     arrowport_compat http://127.0.0.1:PORT TABLE

use std::sync::Arc;

use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightClient, FlightDescriptor, Ticket};
use arrow_schema::{DataType, Field, Schema};
use futures::{StreamExt, TryStreamExt};
use serde_json::{json, Value};

type AnyError = Box<dyn std::error::Error>;

const BATCHES: i64 = 3;
const BATCH_ROWS: i64 = 1000;

fn batch(first: i64) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
    ]));
    let ids: Vec<i64> = (first..first + BATCH_ROWS).collect();
    let names = StringArray::from_iter_values(ids.iter().map(|id| format!("row {id}")));
    let values = Float64Array::from_iter(ids.iter().map(|id| (id % 7 != 0).then(|| *id as f64 / 2.0)));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(ids)), Arc::new(names), Arc::new(values)])
        .expect("columns of one length")
}

fn print(step: &str, mut value: Value) {
    value["step"] = json!(step);
    println!("{value}");
}

fn failure(error: &FlightError) -> Value {
    match error {
        FlightError::Tonic(status) => json!({"code": format!("{:?}", status.code()), "message": status.message()}),
        other => json!({"code": "CLIENT", "message": other.to_string()}),
    }
}

async fn put(client: &mut FlightClient, command: String) -> Result<Vec<Value>, FlightError> {
    let batches = (0..BATCHES).map(|number| Ok(batch(number * BATCH_ROWS)));
    let upload = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command)))
        .build(futures::stream::iter(batches));
    let mut replies = client.do_put(upload).await?;
    let mut acks = Vec::new();
    while let Some(reply) = replies.next().await {
        acks.push(serde_json::from_slice(&reply?.app_metadata).unwrap_or(Value::Null));
    }
    Ok(acks)
}

async fn get(client: &mut FlightClient, ticket: Ticket) -> Result<Vec<RecordBatch>, FlightError> {
    client.do_get(ticket).await?.try_collect().await
}

fn count_and_sum(batches: &[RecordBatch]) -> Value {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let ids = batches.iter().flat_map(|batch| {
        let column = batch.column_by_name("id").expect("a column id");
        column.as_any().downcast_ref::<Int64Array>().expect("int64").values().to_vec()
    });
    let nulls: usize = batches.iter().map(|b| b.column_by_name("value").expect("a column value").null_count()).sum();
    json!({"rows": rows, "id_sum": ids.sum::<i64>(), "nulls": nulls})
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: arrowport_compat URL TABLE")?;
    let table = arguments.next().ok_or("usage: arrowport_compat URL TABLE")?;
    let channel = tonic::transport::Endpoint::from_shared(url)?.connect().await?;
    let mut client = FlightClient::new(channel);

    let acks = put(&mut client, json!({"stream_name": table}).to_string()).await?;
    print("put", json!({"acks": acks}));

    let sql = format!("SELECT * FROM {table}");
    print("get_by_ticket", count_and_sum(&get(&mut client, Ticket::new(sql.clone())).await?));

    let info = client.get_flight_info(FlightDescriptor::new_cmd(sql)).await?;
    let ticket = info.endpoint[0].ticket.clone().ok_or("an endpoint without a ticket")?;
    print("get_by_info", count_and_sum(&get(&mut client, ticket).await?));

    let flights: Vec<_> = client.list_flights("").await?.try_collect().await?;
    let paths: Vec<_> = flights
        .iter()
        .filter_map(|info| info.flight_descriptor.as_ref().map(|descriptor| descriptor.path.clone()))
        .collect();
    print("list", json!({"paths": paths}));

    for (step, sql) in [("bad_sql", "SELEC 1"), ("missing_table", "SELECT * FROM no_such_table")] {
        match get(&mut client, Ticket::new(sql)).await {
            Ok(_) => print(step, json!({"code": "Ok"})),
            Err(error) => print(step, failure(&error)),
        }
    }
    match put(&mut client, "SELECT 1".to_string()).await {
        Ok(_) => print("bad_put", json!({"code": "Ok"})),
        Err(error) => print("bad_put", failure(&error)),
    }
    Ok(())
}
