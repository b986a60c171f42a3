//! The wire: HTTP requests to calls, answers to the bytes and headers AWS writes. AWS JSON 1.1 (Kinesis,
//! Application Auto Scaling) and 1.0 (DynamoDB, CloudWatch), REST-JSON (Lambda), Query with XML (CloudWatch, STS),
//! RPC v2 CBOR (CloudWatch), the older CBOR of Java's Kinesis client, event streams (SubscribeToShard).
//!
//! What always holds: no bytes make it panic, recurse deeply or take more memory than [`MAX_BODY`] and
//! [`budget`] say. Signatures are not checked; a signature's scope tells which service is meant where the rest of a
//! request does not.

mod args;
mod budget;
mod cbor;
mod events;
mod json;
mod query;
mod refusal;
mod text;
mod xml;

use std::{borrow::Cow, collections::BTreeMap, io::Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Crc, read::GzDecoder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{lambda, timestamp};
pub(super) use args::Args;
use cbor::Dialect;
pub(super) use events::subscribe_to_shard_event;
pub(super) use refusal::{Answer, Cause, Refusal};
pub(super) use text::percent_decode;

/// Greatest body of a request in bytes, after decompression. PutRecords takes 10 MiB of data (API reference), 14 MiB
/// in base64, and 500 partition keys; a function's zip has 12 MB here at most (AWS takes 50).
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// An HTTP request as the SDK sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// Path with query, percent-encoded, from the first `/`.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

/// The answer's status, headers (names in lower case) and body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body; of a subscription its first frame.
    pub body: Vec<u8>,
    /// The body goes on with this subscription's events (SubscribeToShard).
    pub subscription: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Kinesis,
    DynamoDb,
    Lambda,
    CloudWatch,
    Sts,
    AutoScaling,
}

impl Service {
    const ALL: [Self; 6] =
        [Self::Kinesis, Self::DynamoDb, Self::Lambda, Self::CloudWatch, Self::Sts, Self::AutoScaling];

    /// As IAM and the audit name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::DynamoDb => "dynamodb",
            Self::Lambda => "lambda",
            Self::CloudWatch => "cloudwatch",
            Self::Sts => "sts",
            Self::AutoScaling => "application-autoscaling",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The service in a signature's scope, which is its endpoint's prefix for CloudWatch.
    fn signed(request: &Request) -> Option<Self> {
        let credential = request.headers.get("authorization")?.split_once("Credential=")?.1;
        let scope = credential.split(',').next()?.split('/').nth(3)?;
        Self::named(if scope == "monitoring" { "cloudwatch" } else { scope })
    }

    /// The content type of its AWS JSON.
    fn json(self) -> Encoding {
        match self {
            Self::DynamoDb | Self::CloudWatch => Encoding::Json("application/x-amz-json-1.0"),
            _ => Encoding::Json("application/x-amz-json-1.1"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json(&'static str),
    Rest,
    Cbor(Dialect),
    Query,
}

/// One decoded request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub service: Service,
    pub operation: String,
    pub input: Value,
    encoding: Encoding,
}

impl Call {
    /// A call that did not come over the wire.
    pub fn new(service: Service, operation: &str, input: Value) -> Self {
        Self { service, operation: operation.to_owned(), input, encoding: Encoding::Rest }
    }

    /// `service:Operation`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service.name(), self.operation)
    }

    /// Reads are Describe…, Get…, List… and SubscribeToShard in every service modelled here.
    pub fn is_mutating(&self) -> bool {
        mutates(&self.operation)
    }

    /// Whether it moves data instead of changing a resource.
    pub fn is_data(&self) -> bool {
        moves_data(&self.operation)
    }

    /// A read of the control plane, not of records, items or metrics.
    pub fn is_control_read(&self) -> bool {
        let data = ["GetRecords", "GetShardIterator", "GetItem", "GetMetricData", "GetMetricStatistics", "ListMetrics"];
        !self.is_mutating() && !data.contains(&self.operation.as_str())
    }

    /// The resource as the request names it.
    pub fn resource(&self) -> String {
        let members = [
            "StreamName",
            "StreamARN",
            "TableName",
            "UUID",
            "FunctionName",
            "ResourceArn",
            "ResourceARN",
            "Resource",
            "ConsumerARN",
            "ResourceId",
        ];
        let named = members.iter().find_map(|member| self.input.get(*member)?.as_str());
        // The longest of these names that AWS accepts has 2,048 characters.
        named.unwrap_or_default().chars().take(2048).collect()
    }
}

/// A moment as the `Date` header has it.
pub(super) fn date(now_ms: i64) -> String {
    timestamp(now_ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn mutates(operation: &str) -> bool {
    !["Describe", "Get", "List", "Subscribe"].iter().any(|prefix| operation.starts_with(prefix))
}

fn moves_data(operation: &str) -> bool {
    ["PutRecord", "PutRecords", "PutItem", "DeleteItem", "BatchWriteItem", "UpdateItem", "PutMetricData"]
        .contains(&operation)
}

/// A request that names no operation of ours, with the encoding its sender understands.
#[derive(Debug)]
pub(super) struct Undecodable {
    service: Service,
    encoding: Encoding,
    refusal: Refusal,
}

impl Undecodable {
    pub fn response(self, id: &str, now_ms: i64) -> Response {
        let call =
            Call { service: self.service, operation: String::new(), input: Value::Null, encoding: self.encoding };
        encode(&call, Err(self.refusal), id, now_ms)
    }
}

/// What a request changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// A resource.
    Change,
    /// Records, items or a client's metrics.
    Data,
}

/// What the operation changes that the request names. Unknown operations count as reads: they have no effect.
pub(super) fn effect(request: &Request) -> Effect {
    match route(request) {
        Ok(route) if moves_data(&route.operation) => Effect::Data,
        Ok(route) if mutates(&route.operation) => Effect::Change,
        _ => Effect::Read,
    }
}

/// What a request's head says about it.
struct Route {
    service: Service,
    operation: String,
    encoding: Encoding,
}

impl Route {
    fn fail(&self, refusal: Refusal) -> Undecodable {
        Undecodable { service: self.service, encoding: self.encoding, refusal }
    }
}

fn route(request: &Request) -> Result<Route, Undecodable> {
    if let Some(target) = request.headers.get("x-amz-target") {
        return json_route(request, target);
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some((service, operation)) = rpc_v2(path) {
        let route = Route {
            service: Service::CloudWatch,
            operation: operation.to_owned(),
            encoding: Encoding::Cbor(Dialect::RpcV2),
        };
        let known = service == "GraniteServiceVersion20100801";
        return if known { Ok(route) } else { Err(route.fail(Refusal::unknown_operation())) };
    }
    if path.starts_with("/20") {
        let route = Route { service: Service::Lambda, operation: String::new(), encoding: Encoding::Rest };
        let query: Vec<(String, String)> = text::parameters(query).collect();
        return match lambda::route(&request.method, path, &query, json!({})) {
            Some((operation, _)) => Ok(Route { operation: operation.to_owned(), ..route }),
            None => Err(route.fail(Refusal::unknown_operation())),
        };
    }
    query_route(request)
}

fn json_route(request: &Request, target: &str) -> Result<Route, Undecodable> {
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let service = match prefix {
        "Kinesis_20131202" => Some(Service::Kinesis),
        "DynamoDB_20120810" => Some(Service::DynamoDb),
        "AnyScaleFrontendService" => Some(Service::AutoScaling),
        "GraniteServiceVersion20100801" => Some(Service::CloudWatch),
        _ => None,
    };
    let Some(service) = service else {
        let service = Service::signed(request).unwrap_or(Service::Kinesis);
        return Err(Undecodable { service, encoding: service.json(), refusal: Refusal::unknown_operation() });
    };
    let cbor = service == Service::Kinesis && content_type(request).starts_with("application/x-amz-cbor");
    let encoding = if cbor { Encoding::Cbor(Dialect::Kinesis) } else { service.json() };
    Ok(Route { service, operation: operation.to_owned(), encoding })
}

fn query_route(request: &Request) -> Result<Route, Undecodable> {
    let signed = Service::signed(request);
    let route = Route { service: signed.unwrap_or(Service::Sts), operation: String::new(), encoding: Encoding::Query };
    let form = form(request).map_err(|refusal| route.fail(refusal))?;
    let (mut action, mut version) = (None, None);
    for (key, value) in text::parameters(&form) {
        match key.as_str() {
            "Action" => action = Some(value),
            "Version" => version = Some(value),
            _ => {}
        }
    }
    let Some(operation) = action else {
        return Err(match signed {
            Some(service @ (Service::Kinesis | Service::DynamoDb | Service::AutoScaling)) => {
                Undecodable { service, encoding: service.json(), refusal: Refusal::unknown_operation() }
            }
            Some(Service::Lambda) => Route { encoding: Encoding::Rest, ..route }.fail(Refusal::unknown_operation()),
            _ => route.fail(Refusal::new(400, "MissingAction", "Missing Action")),
        });
    };
    let service = match (version.as_deref(), signed) {
        (Some("2010-08-01"), _) | (_, Some(Service::CloudWatch)) => Service::CloudWatch,
        _ => Service::Sts,
    };
    Ok(Route { service, operation, encoding: Encoding::Query })
}

/// Service and operation of `/service/S/operation/O`.
fn rpc_v2(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/service/")?.split_once("/operation/")
}

fn content_type(request: &Request) -> &str {
    request.headers.get("content-type").map_or("", String::as_str)
}

/// The parameters of a Query call: its URL's, then its body's.
fn form(request: &Request) -> Result<String, Refusal> {
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    Ok(format!("{query}&{}", String::from_utf8_lossy(&body(request)?)))
}

/// The body, decompressed.
fn body(request: &Request) -> Result<Cow<'_, [u8]>, Refusal> {
    let plain = Cow::Borrowed(request.body.as_slice());
    let body = match request.headers.get("content-encoding").map(String::as_str) {
        Some("gzip") => {
            let mut inflated = Vec::new();
            let mut reader = GzDecoder::new(request.body.as_slice()).take(MAX_BODY as u64 + 1);
            reader.read_to_end(&mut inflated).map_err(|_| malformed())?;
            Cow::Owned(inflated)
        }
        _ => plain,
    };
    if body.len() > MAX_BODY { Err(too_large()) } else { Ok(body) }
}

fn malformed() -> Refusal {
    Refusal::new(400, "SerializationException", "")
}

fn too_large() -> Refusal {
    Refusal::new(413, "RequestEntityTooLargeException", "Request entity too large")
}

/// The answer to a request whose body was too large to be read; `request` has none.
pub(super) fn refuse_length(request: &Request, id: &str, now_ms: i64) -> Response {
    let undecodable = match route(request) {
        Ok(route) => route.fail(too_large()),
        Err(undecodable) => Undecodable { refusal: too_large(), ..undecodable },
    };
    undecodable.response(id, now_ms)
}

pub(super) fn decode(request: &Request) -> Result<Call, Undecodable> {
    let route = route(request)?;
    let input = if route.encoding == Encoding::Query {
        let form = form(request).map_err(|refusal| route.fail(refusal))?;
        let malformed = || Refusal::new(400, "MalformedInput", "A parameter's value is not of its type");
        query::decode(&form).ok_or_else(|| route.fail(malformed()))?
    } else {
        let body = body(request).map_err(|refusal| route.fail(refusal))?;
        let input = match route.encoding {
            Encoding::Cbor(dialect) => cbor::decode(&body, dialect),
            _ => json::decode(&body),
        };
        input.ok_or_else(|| route.fail(malformed()))?
    };
    let Route { service, operation, encoding } = route;
    if encoding != Encoding::Rest {
        return Ok(Call { service, operation, input, encoding });
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let query: Vec<(String, String)> = text::parameters(query).collect();
    match lambda::route(&request.method, path, &query, input) {
        Some((operation, input)) => Ok(Call { service, operation: operation.to_owned(), input, encoding }),
        None => Err(Undecodable { service, encoding, refusal: malformed() }),
    }
}

/// CloudWatch's names from its Query days, which its other protocols repeat in a header (botocore's model of
/// 2010-08-01, `awsQueryError`).
fn query_code(code: &str) -> &str {
    match code {
        "InvalidParameterValueException" => "InvalidParameterValue",
        "InvalidParameterCombinationException" => "InvalidParameterCombination",
        "MissingRequiredParameterException" => "MissingParameter",
        "InternalServiceFault" => "InternalServiceError",
        "ThrottlingException" => "Throttling",
        "LimitExceededFault" => "LimitExceeded",
        "InvalidFormatFault" => "InvalidFormat",
        other => other,
    }
}

pub(super) fn encode(call: &Call, mut answer: Answer, id: &str, now_ms: i64) -> Response {
    if let Err(refusal) = &mut answer {
        unknown_operation(call, refusal);
    }
    let mut headers = BTreeMap::new();
    headers.insert("date".to_owned(), date(now_ms));
    headers.insert("x-amzn-requestid".to_owned(), id.to_owned());
    if let Some(id) = answer.as_ref().ok().and_then(|output| output.get("__subscription")?.as_u64()) {
        headers.insert("content-type".to_owned(), events::CONTENT_TYPE.to_owned());
        return Response { status: 200, headers, body: events::initial_response(), subscription: Some(id) };
    }
    let status = match &answer {
        Err(refusal) => refusal.status,
        Ok(_) if call.service == Service::Lambda => lambda::success_status(&call.operation),
        Ok(_) => 200,
    };
    if let Err(refusal) = &answer {
        if call.encoding == Encoding::Rest {
            headers.insert("x-amzn-errortype".to_owned(), refusal.code.clone());
        } else if call.service == Service::CloudWatch && call.encoding != Encoding::Query {
            let side = if status >= 500 { "Receiver" } else { "Sender" };
            headers.insert("x-amzn-query-error".to_owned(), format!("{};{side}", query_code(&refusal.code)));
        }
    }
    let (content_type, body) = match call.encoding {
        Encoding::Json(content_type) => (content_type, json::encode(call.service, answer)),
        Encoding::Rest if status == 204 => ("application/json", Vec::new()),
        Encoding::Rest => ("application/json", json::encode_rest(answer)),
        Encoding::Cbor(Dialect::Kinesis) => ("application/x-amz-cbor-1.1", cbor::encode(answer, Dialect::Kinesis)),
        Encoding::Cbor(Dialect::RpcV2) => {
            headers.insert("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned());
            ("application/cbor", cbor::encode(answer, Dialect::RpcV2))
        }
        Encoding::Query => ("text/xml", xml::encode(call.service, &call.operation, answer, id)),
    };
    match call.service {
        Service::Kinesis => {
            headers.insert("x-amz-id-2".to_owned(), STANDARD.encode([id, id].concat()));
        }
        Service::DynamoDb => {
            let mut sum = Crc::new();
            sum.update(&body);
            headers.insert("x-amz-crc32".to_owned(), sum.sum().to_string());
        }
        _ => {}
    }
    headers.insert("content-type".to_owned(), content_type.to_owned());
    headers.insert("content-length".to_owned(), body.len().to_string());
    Response { status, headers, body, subscription: None }
}

/// Each protocol says it in its own way.
fn unknown_operation(call: &Call, refusal: &mut Refusal) {
    if refusal.code != "UnknownOperationException" {
        return;
    }
    match call.encoding {
        Encoding::Json(_) | Encoding::Cbor(Dialect::Kinesis) => refusal.status = 400,
        Encoding::Rest | Encoding::Cbor(Dialect::RpcV2) => refusal.status = 404,
        Encoding::Query => {
            let version = if call.service == Service::CloudWatch { "2010-08-01" } else { "2011-06-15" };
            let name: String = call.operation.chars().take(128).collect();
            let message = format!("Could not find operation {name} for version {version}");
            *refusal = Refusal::new(400, "InvalidAction", message);
        }
    }
}
