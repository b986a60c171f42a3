//! The wire: HTTP requests to calls, answers to the bytes and headers AWS writes. AWS JSON 1.1 (Kinesis) and
//! 1.0 (DynamoDB, CloudWatch), REST-JSON (Lambda), RPC-v2-CBOR (CloudWatch), Query with XML (STS).
//!
//! Credentials, signatures and invocation ids are not looked at.

use std::collections::BTreeMap;

use ciborium::value::Value as Cbor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{lambda, timestamp};

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
    /// Body.
    pub body: Vec<u8>,
}

/// What an operation gives: its output members, or AWS's refusal.
pub(super) type Answer = Result<Value, Refusal>;

/// An AWS error: status, code and message, and members of its shape beyond the message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub extra: Map<String, Value>,
    pub cause: Cause,
}

/// What the audit wants to know of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A budget is used up.
    Quota,
    /// The resource is in transition.
    Transition,
    Other,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), extra: Map::new(), cause: Cause::Other }
    }

    pub fn for_cause(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.extra.insert(member.to_owned(), value);
        self
    }

    /// A value outside the model's constraints, in the words of AWS's own front end.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// "1 validation error detected: …".
    pub fn constraint(value: &str, member: &str, constraint: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"
        ))
    }

    pub fn unknown_operation() -> Self {
        Self::new(400, "UnknownOperationException", "")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Kinesis,
    DynamoDb,
    Lambda,
    CloudWatch,
    AutoScaling,
    Sts,
}

impl Service {
    const ALL: [Self; 6] =
        [Self::Kinesis, Self::DynamoDb, Self::Lambda, Self::CloudWatch, Self::AutoScaling, Self::Sts];

    fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::DynamoDb => "dynamodb",
            Self::Lambda => "lambda",
            Self::CloudWatch => "cloudwatch",
            Self::AutoScaling => "application-autoscaling",
            Self::Sts => "sts",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json(&'static str),
    Rest,
    Cbor,
    Xml,
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

    /// Reads are Describe…, Get… and List… in every service modelled here.
    pub fn is_mutating(&self) -> bool {
        !["Describe", "Get", "List"].iter().any(|prefix| self.operation.starts_with(prefix))
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
            "Resource",
            "ConsumerARN",
            "ResourceId",
            "ResourceARN",
        ];
        let named = members.iter().find_map(|member| self.input.get(*member)?.as_str());
        named.unwrap_or_default().to_owned()
    }
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

/// Whether the request names an operation that changes something. Unknown operations count as reads: they
/// have no effect.
pub(super) fn is_mutating(request: &Request) -> bool {
    decode(request).is_ok_and(|call| call.is_mutating())
}

pub(super) fn decode(request: &Request) -> Result<Call, Undecodable> {
    if let Some(target) = request.headers.get("x-amz-target") {
        return decode_json(target, &request.body);
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if let Some(operation) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/") {
        let (service, encoding) = (Service::CloudWatch, Encoding::Cbor);
        let input = decode_cbor(&request.body);
        let input = input.ok_or_else(|| malformed(service, encoding))?;
        return Ok(Call { service, operation: operation.to_owned(), input, encoding });
    }
    if path.starts_with("/20") {
        let encoding = Encoding::Rest;
        let body = if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
        let body: Value = body.map_err(|_| malformed(Service::Lambda, encoding))?;
        let routed = lambda::route(&request.method, path, &parameters(query), body);
        let (operation, input) = routed.ok_or_else(|| Undecodable {
            service: Service::Lambda,
            encoding,
            refusal: Refusal::new(404, "UnknownOperationException", ""),
        })?;
        return Ok(Call { service: Service::Lambda, operation: operation.to_owned(), input, encoding });
    }
    let form = parameters(&String::from_utf8_lossy(&request.body));
    let action = form.into_iter().find(|(key, _)| key == "Action").map(|(_, value)| value);
    let operation = action.ok_or_else(|| Undecodable {
        service: Service::Sts,
        encoding: Encoding::Xml,
        refusal: Refusal::new(400, "MissingAction", "Missing Action"),
    })?;
    Ok(Call { service: Service::Sts, operation, input: json!({}), encoding: Encoding::Xml })
}

fn decode_json(target: &str, body: &[u8]) -> Result<Call, Undecodable> {
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let (service, version) = match prefix {
        "Kinesis_20131202" => (Service::Kinesis, "application/x-amz-json-1.1"),
        "DynamoDB_20120810" => (Service::DynamoDb, "application/x-amz-json-1.0"),
        "AnyScaleFrontendService" => (Service::AutoScaling, "application/x-amz-json-1.1"),
        "GraniteServiceVersion20100801" => (Service::CloudWatch, "application/x-amz-json-1.0"),
        _ => {
            return Err(Undecodable {
                service: Service::Kinesis,
                encoding: Encoding::Json("application/x-amz-json-1.1"),
                refusal: Refusal::unknown_operation(),
            });
        }
    };
    let encoding = Encoding::Json(version);
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
    let input = input.map_err(|_| malformed(service, encoding))?;
    Ok(Call { service, operation: operation.to_owned(), input, encoding })
}

fn malformed(service: Service, encoding: Encoding) -> Undecodable {
    Undecodable { service, encoding, refusal: Refusal::new(400, "SerializationException", "") }
}

pub(super) fn encode(call: &Call, answer: Answer, id: &str, now_ms: i64) -> Response {
    let mut headers = BTreeMap::new();
    let date = timestamp(now_ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    headers.insert("date".to_owned(), date);
    headers.insert("x-amzn-requestid".to_owned(), id.to_owned());
    let status = match &answer {
        Err(refusal) => refusal.status,
        Ok(_) if call.service == Service::Lambda => lambda::success_status(&call.operation),
        Ok(_) => 200,
    };
    let (content_type, body) = match call.encoding {
        Encoding::Json(content_type) => (content_type, json_body(call.service, answer)),
        Encoding::Rest => {
            if let Err(refusal) = &answer {
                headers.insert("x-amzn-errortype".to_owned(), refusal.code.clone());
            }
            ("application/json", if status == 204 { Vec::new() } else { rest_body(answer) })
        }
        Encoding::Cbor => {
            headers.insert("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned());
            ("application/cbor", cbor_body(answer))
        }
        Encoding::Xml => ("text/xml", xml_body(&call.operation, answer, id)),
    };
    headers.insert("content-type".to_owned(), content_type.to_owned());
    headers.insert("content-length".to_owned(), body.len().to_string());
    Response { status, headers, body }
}

fn error_members(refusal: Refusal, message_member: &str) -> Map<String, Value> {
    let mut members = refusal.extra;
    if !refusal.message.is_empty() {
        members.insert(message_member.to_owned(), Value::String(refusal.message));
    }
    members
}

/// Empty outputs of the JSON protocols have no body at all in Kinesis and `{}` in DynamoDB.
fn json_body(service: Service, answer: Answer) -> Vec<u8> {
    match answer {
        Ok(Value::Null) if service == Service::Kinesis => Vec::new(),
        Ok(Value::Null) => b"{}".to_vec(),
        Ok(output) => output.to_string().into_bytes(),
        Err(refusal) => {
            let namespace = match (service, refusal.code.as_str()) {
                (Service::DynamoDb, "ValidationException" | "ThrottlingException") => "com.amazon.coral.validate#",
                (Service::DynamoDb, "UnknownOperationException") => "com.amazon.coral.service#",
                (Service::DynamoDb, _) => "com.amazonaws.dynamodb.v20120810#",
                _ => "",
            };
            let kind = format!("{namespace}{}", refusal.code);
            let mut members = error_members(refusal, "message");
            members.insert("__type".to_owned(), Value::String(kind));
            Value::Object(members).to_string().into_bytes()
        }
    }
}

fn rest_body(answer: Answer) -> Vec<u8> {
    let value = match answer {
        Ok(Value::Null) => json!({}),
        Ok(output) => output,
        Err(refusal) => {
            // Lambda's shapes spell the member differently (botocore's model).
            let capital = ["ResourceNotFoundException", "ResourceInUseException", "ServiceException"];
            let member = if capital.contains(&refusal.code.as_str()) { "Message" } else { "message" };
            let side = if refusal.status >= 500 { "Service" } else { "User" };
            let mut members = error_members(refusal, member);
            members.insert("Type".to_owned(), json!(side));
            Value::Object(members)
        }
    };
    value.to_string().into_bytes()
}

fn xml_body(operation: &str, answer: Answer, id: &str) -> Vec<u8> {
    let namespace = "https://sts.amazonaws.com/doc/2011-06-15/";
    let text = match answer {
        Ok(output) => {
            let mut members = String::new();
            for (name, value) in output.as_object().into_iter().flatten() {
                let text = value.as_str().unwrap_or_default();
                members += &["<", name, ">", text, "</", name, ">"].concat();
            }
            format!(
                "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{members}</{operation}Result>\
                 <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
            )
        }
        Err(refusal) => {
            let side = if refusal.status >= 500 { "Receiver" } else { "Sender" };
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{}</Code>\
                 <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                refusal.code, refusal.message
            )
        }
    };
    text.into_bytes()
}

/// CBOR's one addition to JSON's values here: timestamps are tag 1 around epoch seconds.
fn decode_cbor(body: &[u8]) -> Option<Value> {
    fn convert(value: Cbor) -> Option<Value> {
        Some(match value {
            Cbor::Integer(number) => json!(i64::try_from(i128::from(number)).ok()?),
            Cbor::Float(number) => json!(number),
            Cbor::Text(text) => Value::String(text),
            Cbor::Bool(flag) => Value::Bool(flag),
            Cbor::Null => Value::Null,
            Cbor::Tag(_, inner) => convert(*inner)?,
            Cbor::Array(items) => Value::Array(items.into_iter().map(convert).collect::<Option<_>>()?),
            Cbor::Map(entries) => Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| Some((key.into_text().ok()?, convert(value)?)))
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }
    if body.is_empty() { Some(json!({})) } else { convert(ciborium::from_reader(body).ok()?) }
}

fn cbor_body(answer: Answer) -> Vec<u8> {
    fn convert(value: Value, timestamps: bool) -> Cbor {
        match value {
            Value::Null => Cbor::Null,
            Value::Bool(flag) => Cbor::Bool(flag),
            Value::Number(number) if timestamps => {
                Cbor::Tag(1, Box::new(Cbor::Float(number.as_f64().unwrap_or_default())))
            }
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Cbor::Integer(integer.into()),
                None => Cbor::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Cbor::Text(text),
            Value::Array(items) => Cbor::Array(items.into_iter().map(|item| convert(item, timestamps)).collect()),
            Value::Object(members) => Cbor::Map(
                members
                    .into_iter()
                    .map(|(key, value)| {
                        let timestamps = key == "Timestamps";
                        (Cbor::Text(key), convert(value, timestamps))
                    })
                    .collect(),
            ),
        }
    }
    let value = match answer {
        Ok(Value::Null) => json!({}),
        Ok(output) => output,
        Err(refusal) => {
            let kind = format!("com.amazonaws.cloudwatch#{}", refusal.code);
            let mut members = error_members(refusal, "message");
            members.insert("__type".to_owned(), Value::String(kind));
            Value::Object(members)
        }
    };
    let mut body = Vec::new();
    // Writing to a vector does not fail.
    let _ = ciborium::into_writer(&convert(value, false), &mut body);
    body
}

/// Query or form parameters, percent-decoded, in order.
fn parameters(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(&key.replace('+', " ")), percent_decode(&value.replace('+', " ")))
        })
        .collect()
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = if *first == b'%' { tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()) } else { None };
        if let Some(byte) = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The input members of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a>(pub &'a Value);

impl<'a> Args<'a> {
    /// The member, unless absent or null.
    pub fn get(self, member: &str) -> Option<&'a Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    pub fn text(self, member: &str) -> Option<&'a str> {
        self.get(member)?.as_str()
    }

    pub fn int(self, member: &str) -> Option<i64> {
        let value = self.get(member)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    pub fn flag(self, member: &str) -> Option<bool> {
        self.get(member)?.as_bool()
    }

    pub fn at(self, member: &str) -> Option<Args<'a>> {
        self.get(member).map(Args)
    }

    pub fn list(self, member: &str) -> impl Iterator<Item = Args<'a>> {
        self.get(member).and_then(Value::as_array).into_iter().flatten().map(Args)
    }

    pub fn texts(self, member: &str) -> impl Iterator<Item = &'a str> {
        self.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// A map of strings to strings, e.g. tags.
    pub fn map(self, member: &str) -> BTreeMap<String, String> {
        let members = self.get(member).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    pub fn need_text(self, member: &str) -> Result<&'a str, Refusal> {
        self.text(member).ok_or_else(|| missing(member))
    }

    pub fn need_int(self, member: &str) -> Result<i64, Refusal> {
        self.int(member).ok_or_else(|| missing(member))
    }

    /// The member if present, inside `low..=high`.
    pub fn ranged(self, member: &str, low: i64, high: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.int(member) else { return Ok(None) };
        let bound = match value {
            value if value < low => format!("have value greater than or equal to {low}"),
            value if value > high => format!("have value less than or equal to {high}"),
            _ => return Ok(Some(value)),
        };
        Err(Refusal::constraint(&value.to_string(), &decapitalised(member), &bound))
    }
}

fn missing(member: &str) -> Refusal {
    let member = decapitalised(member);
    Refusal::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

fn decapitalised(member: &str) -> String {
    let mut letters = member.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}
