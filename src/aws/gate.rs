//! The gate: wraps the HTTP client below every SDK client, names the operation of each request, counts it, and
//! refuses what the caller did not allow, without sending it.
//!
//! It reads the request that is about to leave, not what the code above meant to do, so a slip in any room
//! cannot get past it. A request it cannot name is refused.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};

use super::operations::{self, Allow};

/// Requests sent so far, by `service:Operation`. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, u64>>>);

impl Calls {
    /// A copy of the numbers.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, operation: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
    }
}

/// Why the gate kept a request back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused before it was sent: {operation} is not allowed in a run that allows {allow:?} only")]
pub(crate) struct Refused {
    /// `service:Operation`, or the request line when it has no known name.
    pub(crate) operation: String,
    allow: Allow,
}

/// Puts the gate in front of `inner`.
pub(crate) fn gated(inner: SharedHttpClient, allow: Allow, calls: Calls) -> SharedHttpClient {
    SharedHttpClient::new(Gate { inner, allow, calls })
}

#[derive(Debug)]
struct Gate {
    inner: SharedHttpClient,
    allow: Allow,
    calls: Calls,
}

impl HttpClient for Gate {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(GatedConnector {
            inner: self.inner.http_connector(settings, components),
            allow: self.allow,
            calls: self.calls.clone(),
        })
    }
}

struct GatedConnector {
    inner: SharedHttpConnector,
    allow: Allow,
    calls: Calls,
}

impl fmt::Debug for GatedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedConnector").field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl HttpConnector for GatedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let name = name_of(&request);
        let passes = name.as_ref().is_some_and(|(service, operation)| {
            operations::find(service, operation).is_some_and(|operation| operation.passes(self.allow))
        });
        let name = name.map_or_else(
            || format!("{} {}", request.method(), request.uri()),
            |(service, operation)| format!("{service}:{operation}"),
        );
        if !passes {
            tracing::error!(operation = name, allow = ?self.allow, "the gate refused a request");
            let refused = Refused { operation: name, allow: self.allow };
            return HttpConnectorFuture::ready(Err(ConnectorError::user(refused.into())));
        }
        self.calls.count(name);
        self.inner.call(request)
    }
}

/// `(service, operation)` of a request, from the part of it that AWS itself dispatches on.
fn name_of(request: &HttpRequest) -> Option<(&'static str, String)> {
    if let Some(target) = request.headers().get("x-amz-target") {
        let (prefix, operation) = target.split_once('.')?;
        return Some((service_of(prefix)?, operation.to_owned()));
    }
    let uri: http::Uri = request.uri().parse().ok()?;
    let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    // Smithy RPC v2: /service/{shape}/operation/{name}; an endpoint URL may put a path in front.
    if let [.., "service", shape, "operation", operation] = segments.as_slice() {
        return Some((service_of(shape)?, (*operation).to_owned()));
    }
    if let Some(at) = segments.iter().position(|segment| LAMBDA_VERSIONS.contains(segment)) {
        return lambda_operation(request.method(), segments.get(at..)?).map(|name| ("lambda", name.to_owned()));
    }
    form_action(request).map(|name| ("sts", name))
}

fn service_of(shape: &str) -> Option<&'static str> {
    match shape {
        "Kinesis_20131202" => Some("kinesis"),
        "DynamoDB_20120810" => Some("dynamodb"),
        "GraniteServiceVersion20100801" => Some("cloudwatch"),
        _ => None,
    }
}

/// The API versions that Lambda's REST paths begin with, of the operations in the table.
const LAMBDA_VERSIONS: [&str; 3] = ["2015-03-31", "2016-08-19", "2017-03-31"];

fn lambda_operation(method: &str, segments: &[&str]) -> Option<&'static str> {
    match (method, segments) {
        ("GET", [_, "functions", _]) => Some("GetFunction"),
        ("GET", [_, "event-source-mappings"]) => Some("ListEventSourceMappings"),
        ("POST", [_, "event-source-mappings"]) => Some("CreateEventSourceMapping"),
        ("PUT", [_, "event-source-mappings", _]) => Some("UpdateEventSourceMapping"),
        ("DELETE", [_, "event-source-mappings", _]) => Some("DeleteEventSourceMapping"),
        ("GET", [_, "account-settings"]) => Some("GetAccountSettings"),
        ("GET", [_, "tags", _]) => Some("ListTags"),
        ("POST", [_, "tags", _]) => Some("TagResource"),
        _ => None,
    }
}

/// `Action` of a form-encoded body (the query protocol, which STS alone uses here).
fn form_action(request: &HttpRequest) -> Option<String> {
    let body = std::str::from_utf8(request.body().bytes()?).ok()?;
    if !body.split('&').any(|pair| pair == "Version=2011-06-15") {
        return None;
    }
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::testing::{Answer, Stub};

    fn request(method: &str, uri: &str, target: Option<&str>, body: &'static str) -> HttpRequest {
        let mut request = HttpRequest::new(body.into());
        request.set_method(method).unwrap();
        request.set_uri(uri).unwrap();
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target.to_owned());
        }
        request
    }

    #[test]
    fn a_request_is_named_by_what_aws_dispatches_on() {
        let cases = [
            ("POST", "https://k/", Some("Kinesis_20131202.UpdateShardCount"), "{}", "kinesis:UpdateShardCount"),
            ("POST", "https://d/", Some("DynamoDB_20120810.DeleteTable"), "{}", "dynamodb:DeleteTable"),
            (
                "POST",
                "https://m/service/GraniteServiceVersion20100801/operation/GetMetricData",
                None,
                "",
                "cloudwatch:GetMetricData",
            ),
            ("POST", "https://s/", None, "Action=GetCallerIdentity&Version=2011-06-15", "sts:GetCallerIdentity"),
            ("GET", "https://l/2015-03-31/functions/f", None, "", "lambda:GetFunction"),
            ("POST", "https://l/2015-03-31/event-source-mappings/", None, "{}", "lambda:CreateEventSourceMapping"),
            ("PUT", "https://l/x/2015-03-31/event-source-mappings/u", None, "{}", "lambda:UpdateEventSourceMapping"),
            ("DELETE", "https://l/2015-03-31/event-source-mappings/u", None, "", "lambda:DeleteEventSourceMapping"),
            ("POST", "https://l/2017-03-31/tags/arn%3Aaws", None, "{}", "lambda:TagResource"),
        ];
        for (method, uri, target, body, expected) in cases {
            let (service, operation) = name_of(&request(method, uri, target, body)).unwrap();
            assert_eq!(format!("{service}:{operation}"), expected);
        }
    }

    #[tokio::test]
    async fn a_request_without_a_name_is_not_sent() {
        let stub = Stub::new(|_| Answer::Text(200, "{}"));
        let connector = GatedConnector {
            inner: SharedHttpConnector::new(stub.clone()),
            allow: Allow::Apply,
            calls: Calls::default(),
        };
        let nameless = request("DELETE", "https://l/2015-03-31/functions/f", None, "");
        let unknown = request("POST", "https://k/", Some("Kinesis_20131202.MergeShards"), "{}");
        for request in [nameless, unknown] {
            assert!(connector.call(request).await.is_err());
        }
        assert!(stub.sent().is_empty());
        let known = request("POST", "https://k/", Some("Kinesis_20131202.UpdateShardCount"), "{}");
        assert!(connector.call(known).await.is_ok());
    }

    #[test]
    fn what_has_no_name_has_none() {
        assert_eq!(name_of(&request("DELETE", "https://l/2015-03-31/functions/f", None, "")), None);
        assert_eq!(name_of(&request("POST", "https://x/", Some("Elsewhere_1.Do"), "")), None);
        assert_eq!(name_of(&request("POST", "https://x/", None, "Action=CreateUser&Version=2010-05-08")), None);
        assert_eq!(name_of(&request("GET", "https://x/", None, "")), None);
    }
}
