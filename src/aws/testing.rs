//! A stub AWS for unit tests: an HTTP client that records what is sent and answers by a closure.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use serde_json::Value;

use super::{Allow, Aws, Clock, Connect};
use crate::model::Facts;

/// One request as it left the SDK.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Path and query without the host.
    pub(crate) fn path(&self) -> &str {
        let rest = self.uri.split_once("://").map_or(self.uri.as_str(), |(_, rest)| rest);
        rest.find('/').map_or("/", |at| &rest[at..])
    }
}

/// What the stub answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(u16, Value),
    /// A JSON error body with its code, and a request id.
    Error(u16, &'static str, &'static str),
    Cbor(Vec<u8>),
    Text(u16, &'static str),
    /// The connection breaks.
    Broken,
}

#[derive(Clone)]
pub(crate) struct Stub {
    answer: Arc<dyn Fn(&Sent) -> Answer + Send + Sync>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stub")
    }
}

impl Stub {
    pub(crate) fn new(answer: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), sent: Arc::default() }
    }

    pub(crate) fn client(&self) -> SharedHttpClient {
        let stub = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(stub.clone()))
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(crate) async fn connect(&self, allow: Allow) -> Aws {
        let clock = Clock::simulated("2026-01-01T12:05:30Z".parse().unwrap(), 1.0);
        let http_client = Some(self.client());
        let connect = Connect { region: None, profile: None, endpoint_url: None, http_client, clock, allow };
        Aws::connect(connect).await.unwrap()
    }
}

impl HttpConnector for Stub {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sent = Sent {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            target: request.headers().get("x-amz-target").unwrap_or_default().to_owned(),
            body: request.body().bytes().unwrap_or_default().to_vec(),
        };
        let answer = (self.answer)(&sent);
        self.sent.lock().unwrap().push(sent);
        let (status, headers, body): (u16, Vec<(&'static str, String)>, Vec<u8>) = match answer {
            Answer::Json(status, body) => (status, vec![], body.to_string().into_bytes()),
            Answer::Error(status, code, message) => {
                let body = serde_json::json!({ "__type": code, "message": message });
                let headers = vec![("x-amzn-errortype", code.to_owned()), ("x-amzn-requestid", "req-1".to_owned())];
                (status, headers, body.to_string().into_bytes())
            }
            Answer::Cbor(body) => (200, vec![("smithy-protocol", "rpc-v2-cbor".to_owned())], body),
            Answer::Text(status, text) => (status, vec![], text.as_bytes().to_vec()),
            Answer::Broken => {
                return HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset".into())));
            }
        };
        let mut response = HttpResponse::new(status.try_into().unwrap(), body.into());
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// Facts of an empty account.
pub(crate) fn no_facts() -> Facts {
    Facts {
        observed_at: "2026-01-01T12:00:00Z".parse().unwrap(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        caller: "arn:aws:iam::123456789012:user/a".to_owned(),
        stream: None,
        fan_out: Vec::new(),
        functions: BTreeMap::new(),
        mappings: Vec::new(),
        tables: BTreeMap::new(),
        account_concurrency: None,
        shard_limit: None,
    }
}
