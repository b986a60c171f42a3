//! The book: sends requests as a client would, asserts the answers, and notes what was shown.

use std::collections::{BTreeMap, BTreeSet};

use alleycat_operator::twin::{Request, Response, Twin, World};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What one assertion showed of an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It succeeds.
    Success,
    /// It is refused with this code by the twin's own rules.
    Refused(String),
    /// This code reaches the client when the world's faults say so.
    ByFault(String),
}

/// A documented rule, in our words.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// `kinesis.put.records-per-second`: service, subject, rule.
    pub id: &'static str,
    /// What AWS documents, in one line.
    pub says: &'static str,
    /// Where: the page of AWS's documentation.
    pub source: &'static str,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub body: Value,
}

/// One account under test and everything shown so far.
pub struct Book {
    pub twin: Twin,
    pub now: Timestamp,
    /// (`kinesis:CreateStream`, what was shown).
    pub seen: BTreeSet<(String, Outcome)>,
    pub rules: BTreeMap<&'static str, (Rule, bool)>,
}

impl Default for Book {
    fn default() -> Self {
        let world = World::alleycat().with_races(0);
        let now = world.start;
        Self { twin: twin(world), now, seen: BTreeSet::new(), rules: BTreeMap::new() }
    }
}

impl Book {
    /// Goes on in a new account of this world, keeping what was shown.
    pub fn account(&mut self, world: World) {
        self.now = world.start;
        self.twin = twin(world);
    }

    /// Lets time pass.
    pub fn wait(&mut self, seconds: f64) {
        self.now += SignedDuration::from_millis((seconds * 1_000.0) as i64);
        self.twin.advance(self.now);
    }

    pub fn rules(&mut self, rules: &[Rule]) {
        for rule in rules {
            let before = self.rules.insert(rule.id, (*rule, false));
            assert!(before.is_none(), "two rules are named {}", rule.id);
        }
    }

    /// The assertions before this line showed the rule.
    pub fn shows(&mut self, id: &str) {
        let (_, shown) = self.rules.get_mut(id).unwrap_or_else(|| panic!("no rule is named {id}"));
        *shown = true;
    }

    /// Sends a call (`kinesis:CreateStream`; Lambda: path parameters among the members) and gives the answer.
    pub fn send(&mut self, operation: &str, input: &Value) -> Result<Value, Refused> {
        let request = request(operation, input);
        answer(&self.twin.handle(self.now, &request))
    }

    /// The call succeeds.
    #[track_caller]
    pub fn ok(&mut self, operation: &str, input: Value) -> Value {
        let answer = self.send(operation, &input).unwrap_or_else(|refused| panic!("{operation} {input}: {refused:?}"));
        self.seen.insert((operation.to_owned(), Outcome::Success));
        answer
    }

    /// The call is refused with this code; gives the answer to look at its message.
    #[track_caller]
    pub fn refused(&mut self, operation: &str, input: Value, code: &str) -> Refused {
        match self.send(operation, &input) {
            Ok(answer) => panic!("{operation} {input}: not refused with {code} but {answer}"),
            Err(refused) => {
                assert_eq!(refused.code, code, "{operation} {input}: {refused:?}");
                self.seen.insert((operation.to_owned(), Outcome::Refused(code.to_owned())));
                refused
            }
        }
    }
}

/// Scripts send many calls at one moment; the request rates have a script of their own.
fn twin(world: World) -> Twin {
    let mut twin = Twin::new(world, 7);
    twin.assumptions_mut().enforce_request_rates = false;
    twin
}

/// The request an SDK would send.
pub fn request(operation: &str, input: &Value) -> Request {
    let (service, name) = operation.split_once(':').unwrap_or_else(|| panic!("service:Operation, not {operation}"));
    if service == "lambda" {
        return lambda(name, input);
    }
    let (prefix, version) = match service {
        "kinesis" => ("Kinesis_20131202", "1.1"),
        "dynamodb" => ("DynamoDB_20120810", "1.0"),
        "cloudwatch" => ("GraniteServiceVersion20100801", "1.0"),
        "application-autoscaling" => ("AnyScaleFrontendService", "1.1"),
        "sts" => {
            let headers = BTreeMap::from([("content-type".into(), "application/x-www-form-urlencoded".into())]);
            let body = format!("Action={name}&Version=2011-06-15").into_bytes();
            return Request { method: "POST".into(), path: "/".into(), headers, body };
        }
        other => panic!("no service named {other}"),
    };
    let headers = BTreeMap::from([
        ("content-type".to_owned(), format!("application/x-amz-json-{version}")),
        ("x-amz-target".to_owned(), format!("{prefix}.{name}")),
    ]);
    Request { method: "POST".into(), path: "/".into(), headers, body: input.to_string().into_bytes() }
}

/// Method and path template of Lambda's operations (API reference); the rest of the members go into the query
/// of a GET or DELETE and into the body of a POST or PUT.
const LAMBDA: &[(&str, &str, &str)] = &[
    ("CreateFunction", "POST", "/2015-03-31/functions"),
    ("ListFunctions", "GET", "/2015-03-31/functions"),
    ("GetFunction", "GET", "/2015-03-31/functions/{FunctionName}"),
    ("DeleteFunction", "DELETE", "/2015-03-31/functions/{FunctionName}"),
    ("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{FunctionName}/configuration"),
    ("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{FunctionName}/configuration"),
    ("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{FunctionName}/code"),
    ("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency"),
    ("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency"),
    ("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency"),
    ("GetAccountSettings", "GET", "/2016-08-19/account-settings"),
    ("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings"),
    ("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings"),
    ("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{UUID}"),
    ("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{UUID}"),
    ("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{UUID}"),
    ("ListTags", "GET", "/2017-03-31/tags/{Resource}"),
    ("TagResource", "POST", "/2017-03-31/tags/{Resource}"),
    ("UntagResource", "DELETE", "/2017-03-31/tags/{Resource}"),
];

fn lambda(name: &str, input: &Value) -> Request {
    let (_, method, template) =
        LAMBDA.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("no path of lambda:{name}"));
    let mut members = input.as_object().cloned().unwrap_or_default();
    let mut path = (*template).to_owned();
    if let (Some(open), Some(close)) = (template.find('{'), template.find('}')) {
        let member = &template[open + 1..close];
        let value = members.remove(member).unwrap_or_else(|| panic!("lambda:{name} needs {member}"));
        path = path.replace(&template[open..=close], &percent(value.as_str().unwrap_or_default()));
    }
    let mut body = Vec::new();
    if matches!(*method, "GET" | "DELETE") {
        let pairs = members.iter().flat_map(|(key, value)| {
            let key = if key == "TagKeys" { "tagKeys" } else { key };
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            values.into_iter().map(move |value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{key}={}", percent(&text))
            })
        });
        let query: Vec<String> = pairs.collect();
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
    } else {
        body = Value::Object(members).to_string().into_bytes();
    }
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    Request { method: (*method).to_owned(), path, headers, body }
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The answer's members, or what was refused.
pub fn answer(response: &Response) -> Result<Value, Refused> {
    if let Some(id) = response.subscription {
        return Ok(json!({ "__subscription": id }));
    }
    let text = String::from_utf8_lossy(&response.body);
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_else(|_| json!(text));
    if response.status < 300 {
        return Ok(body);
    }
    let typed = response.headers.get("x-amzn-errortype").map(String::as_str).or_else(|| body["__type"].as_str());
    let between = |open: &str, close: &str| Some(text.split_once(open)?.1.split_once(close)?.0.to_owned());
    let code = typed.map(|name| name.rsplit('#').next().unwrap_or(name).split(':').next().unwrap_or(name).to_owned());
    let code = code.or_else(|| between("<Code>", "</Code>")).unwrap_or_default();
    let message = ["message", "Message"].iter().find_map(|member| body[*member].as_str().map(str::to_owned));
    let message = message.or_else(|| between("<Message>", "</Message>")).unwrap_or_default();
    Err(Refused { status: response.status, code, message, body })
}
