//! Event streams (`application/vnd.amazon.eventstream`): the frames of SubscribeToShard's answer.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::Value;

/// The content type of such an answer.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The frame that opens the stream of an RPC protocol: the output's members beside the stream.
pub(super) fn initial_response() -> Vec<u8> {
    frame("initial-response", b"{}".to_vec())
}

/// One event of a subscription.
pub(in crate::twin) fn subscribe_to_shard_event(event: &Value) -> Vec<u8> {
    frame("SubscribeToShardEvent", event.to_string().into_bytes())
}

fn frame(event: &'static str, payload: Vec<u8>) -> Vec<u8> {
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(payload)
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", event))
        .add_header(header(":content-type", "application/x-amz-json-1.1"));
    let mut bytes = Vec::new();
    // Headers of this size always fit; a payload above 16 MiB would not, and an event has 10 MB at most.
    let _ = write_message_to(&message, &mut bytes);
    bytes
}
