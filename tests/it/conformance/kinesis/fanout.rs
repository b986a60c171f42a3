//! Fan-out consumers and their subscriptions.

use serde_json::{Value, json};

use super::{Book, FIRST, absent, arn, batch, data, fresh, put, rate, stream};

pub fn script(book: &mut Book) {
    consumers(book);
    subscriptions(book);
    deliveries(book);
}

fn named(consumer: &str) -> Value {
    json!({"StreamARN": arn("s"), "ConsumerName": consumer})
}

fn consumers(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let register = "kinesis:RegisterStreamConsumer";
    let first = book.ok(register, named("c0"))["Consumer"].clone();
    assert_eq!(first["ConsumerStatus"], "CREATING");
    book.refused(register, named("c0"), "ResourceInUseException");
    for wrong in ["", "no spaces", &"x".repeat(129)] {
        book.refused(register, named(wrong), "ValidationException");
    }
    book.shows("kinesis.fan-out.name");
    book.wait(1.0);
    for index in 1..5 {
        book.ok(register, named(&format!("c{index}")));
    }
    book.wait(1.0);
    book.refused(register, named("c5"), "LimitExceededException");
    book.shows("kinesis.fan-out.creating");
    for index in 5..20 {
        book.wait(30.0);
        book.ok(register, named(&format!("c{index}")));
    }
    book.wait(30.0);
    book.refused(register, named("c20"), "LimitExceededException");
    book.shows("kinesis.fan-out.consumers");
    let describe = book.ok("kinesis:DescribeStreamConsumer", named("c0"))["ConsumerDescription"].clone();
    assert_eq!((&describe["ConsumerStatus"], &describe["ConsumerARN"]), (&json!("ACTIVE"), &first["ConsumerARN"]));
    let page = book.ok("kinesis:ListStreamConsumers", json!({"StreamARN": arn("s"), "MaxResults": 15}));
    assert_eq!(page["Consumers"].as_array().unwrap().len(), 15);
    let token = json!({"StreamARN": arn("s"), "NextToken": page["NextToken"]});
    let rest = book.ok("kinesis:ListStreamConsumers", token.clone());
    assert_eq!(rest["Consumers"].as_array().unwrap().len(), 5);
    book.wait(301.0);
    book.refused("kinesis:ListStreamConsumers", token, "ExpiredNextTokenException");
    book.ok("kinesis:DeregisterStreamConsumer", json!({"ConsumerARN": first["ConsumerARN"]}));
    let describe = book.ok("kinesis:DescribeStreamConsumer", named("c0"));
    assert_eq!(describe["ConsumerDescription"]["ConsumerStatus"], "DELETING");
    book.shows("kinesis.fan-out.status");
    book.wait(30.0);
    book.refused("kinesis:DescribeStreamConsumer", named("c0"), "ResourceNotFoundException");
    book.refused("kinesis:DeregisterStreamConsumer", named("c0"), "ResourceNotFoundException");
    let again = book.ok(register, named("c0"))["Consumer"].clone();
    assert_ne!(again["ConsumerARN"], first["ConsumerARN"]);
    book.shows("kinesis.fan-out.arn");
    book.refused("kinesis:DescribeStreamConsumer", json!({}), "InvalidArgumentException");
    book.refused("kinesis:DeregisterStreamConsumer", json!({}), "InvalidArgumentException");
    absent(book, register, &json!({"ConsumerName": "c"}));
    absent(book, "kinesis:ListStreamConsumers", &json!({}));
    let mut tagged = named("tagged");
    tagged["Tags"] = (0..51).map(|index| (format!("k{index}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    book.refused(register, tagged, "LimitExceededException");
    book.shows("kinesis.fan-out.tags");
    rate(book, register, &named("c0"), 5);
    book.shows("kinesis.fan-out.register-rate");
    rate(book, "kinesis:ListStreamConsumers", &named("c0"), 5);
    rate(book, "kinesis:DeregisterStreamConsumer", &named("none"), 5);
    rate(book, "kinesis:DescribeStreamConsumer", &named("c0"), 20);
    book.shows("kinesis.fan-out.control-rates");
}

fn subscribe(consumer: &Value, position: &str) -> Value {
    json!({"ConsumerARN": consumer, "ShardId": FIRST, "StartingPosition": {"Type": position}})
}

/// The id of a new subscription.
fn subscription(book: &mut Book, consumer: &Value, position: &str) -> u64 {
    book.ok("kinesis:SubscribeToShard", subscribe(consumer, position))["__subscription"].as_u64().unwrap()
}

/// All records that come within `seconds`, each with its delay in milliseconds; the last moment an event came.
fn receive(book: &mut Book, id: u64, seconds: i64) -> Vec<(Value, i64)> {
    let until = book.now + jiff::SignedDuration::from_secs(seconds);
    let mut received = Vec::new();
    loop {
        let (now, answer) = (book.now, book.twin.subscription_events(book.now, id));
        for event in &answer.events {
            for record in event["Records"].as_array().unwrap() {
                let arrived = (record["ApproximateArrivalTimestamp"].as_f64().unwrap() * 1_000.0).round() as i64;
                received.push((record.clone(), now.as_millisecond() - arrived));
            }
        }
        match answer.next_poll.filter(|next| *next <= until) {
            Some(next) => book.now = next,
            None => break,
        }
    }
    book.now = book.now.max(until);
    book.twin.advance(book.now);
    received
}

fn consumer(book: &mut Book, name: &str) -> Value {
    let consumer = book.ok("kinesis:RegisterStreamConsumer", named(name))["Consumer"]["ConsumerARN"].clone();
    book.wait(60.0);
    consumer
}

fn subscriptions(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let operation = "kinesis:SubscribeToShard";
    let young = book.ok("kinesis:RegisterStreamConsumer", named("young"))["Consumer"]["ConsumerARN"].clone();
    book.refused(operation, subscribe(&young, "LATEST"), "ResourceInUseException");
    let reader = consumer(book, "reader");
    book.refused(operation, subscribe(&json!("mine"), "LATEST"), "InvalidArgumentException");
    let gone = json!(format!("{}/consumer/gone:1", arn("s")));
    book.refused(operation, subscribe(&gone, "LATEST"), "ResourceNotFoundException");
    book.refused(operation, subscribe(&reader, "OTHER"), "ValidationException");
    let mut dry = subscribe(&reader, "LATEST");
    dry["DryRun"] = json!(true);
    book.refused(operation, dry, "DryRunOperationException");
    let id = subscription(book, &reader, "LATEST");
    book.refused(operation, subscribe(&reader, "LATEST"), "LimitExceededException");
    book.shows("kinesis.fan-out.call-rate");
    book.wait(4.0);
    book.refused(operation, subscribe(&reader, "LATEST"), "ResourceInUseException");
    book.wait(1.0);
    let next = subscription(book, &reader, "LATEST");
    book.shows("kinesis.fan-out.again");
    let now = book.now;
    assert!(book.twin.subscription_events(now, id).next_poll.is_none(), "the older one is over");
    book.wait(299.0);
    let now = book.now;
    assert!(book.twin.subscription_events(now, next).next_poll.is_some());
    book.wait(1.0);
    let now = book.now;
    assert!(book.twin.subscription_events(now, next).next_poll.is_none());
    book.shows("kinesis.fan-out.life");
}

fn deliveries(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let (one, other) = (consumer(book, "one"), consumer(book, "other"));
    let id = subscription(book, &one, "LATEST");
    put(book, "s", "k", b"hello");
    let received = receive(book, id, 5);
    assert_eq!(received.len(), 1);
    assert_eq!((data(&received[0].0), received[0].1), (b"hello".to_vec(), 70));
    book.shows("kinesis.fan-out.latency");
    // Eight MiB wait. Each consumer takes four seconds for them, whatever the other does.
    for _ in 0..8 {
        book.ok("kinesis:PutRecords", batch("s", 16, 65_536));
        book.wait(1.0);
    }
    book.wait(300.0);
    let ids = [subscription(book, &one, "TRIM_HORIZON"), subscription(book, &other, "TRIM_HORIZON")];
    let begin = book.now;
    for id in ids {
        let count = |book: &mut Book, seconds: i64| {
            let events = receive(book, id, seconds);
            events.len()
        };
        if id == ids[0] {
            let first = count(book, 1);
            assert!((32..=66).contains(&first), "{first} records of 64 KiB in the first second");
            assert_eq!(first + count(book, 10), 129);
        } else {
            assert_eq!(count(book, 10), 129);
        }
    }
    assert!(book.now > begin);
    book.shows("kinesis.fan-out.bytes-per-second");
    book.twin.plane().check().unwrap();
}
