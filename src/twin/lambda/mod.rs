//! The Lambda control plane: the world's functions with their concurrency, and event source mappings.
//!
//! Functions exist from the start and are never created or deleted here. Paths, status codes and messages:
//! AWS Lambda API reference (botocore's model), and messages that public tools match on.

mod mappings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ctx, World,
    kinesis::Kinesis,
    timestamp,
    wire::{Answer, Args, Refusal, percent_decode},
};
use mappings::Mapping;

/// What of a function can be changed through the API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Function {
    reserved: Option<u32>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Lambda {
    functions: BTreeMap<String, Function>,
    mappings: BTreeMap<String, Mapping>,
}

/// Operation and input of a REST request; path and query parameters join the body's members.
pub(super) fn route(
    method: &str,
    path: &str,
    query: &[(String, String)],
    mut input: Value,
) -> Option<(&'static str, Value)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (operation, parameter) = match (method, parts.as_slice()) {
        ("GET", ["2015-03-31", "functions", name]) => ("GetFunction", Some(("FunctionName", *name))),
        ("GET", ["2015-03-31", "functions", name, "configuration"]) => {
            ("GetFunctionConfiguration", Some(("FunctionName", *name)))
        }
        ("GET", ["2019-09-30", "functions", name, "concurrency"]) => {
            ("GetFunctionConcurrency", Some(("FunctionName", *name)))
        }
        ("PUT", ["2017-10-31", "functions", name, "concurrency"]) => {
            ("PutFunctionConcurrency", Some(("FunctionName", *name)))
        }
        ("DELETE", ["2017-10-31", "functions", name, "concurrency"]) => {
            ("DeleteFunctionConcurrency", Some(("FunctionName", *name)))
        }
        ("GET", ["2016-08-19", "account-settings"]) => ("GetAccountSettings", None),
        ("POST", ["2015-03-31", "event-source-mappings"]) => ("CreateEventSourceMapping", None),
        ("GET", ["2015-03-31", "event-source-mappings"]) => ("ListEventSourceMappings", None),
        ("GET", ["2015-03-31", "event-source-mappings", uuid]) => ("GetEventSourceMapping", Some(("UUID", *uuid))),
        ("PUT", ["2015-03-31", "event-source-mappings", uuid]) => ("UpdateEventSourceMapping", Some(("UUID", *uuid))),
        ("DELETE", ["2015-03-31", "event-source-mappings", uuid]) => {
            ("DeleteEventSourceMapping", Some(("UUID", *uuid)))
        }
        ("GET", ["2017-03-31", "tags", arn]) => ("ListTags", Some(("Resource", *arn))),
        ("POST", ["2017-03-31", "tags", arn]) => ("TagResource", Some(("Resource", *arn))),
        ("DELETE", ["2017-03-31", "tags", arn]) => ("UntagResource", Some(("Resource", *arn))),
        _ => return None,
    };
    let members = input.as_object_mut()?;
    for (name, value) in query {
        if name == "tagKeys" {
            let keys = members.entry("TagKeys").or_insert_with(|| json!([]));
            keys.as_array_mut()?.push(json!(value));
        } else {
            members.insert(name.clone(), json!(value));
        }
    }
    if let Some((name, value)) = parameter {
        members.insert(name.to_owned(), json!(percent_decode(value)));
    }
    Some((operation, input))
}

/// HTTP status of an accepted operation.
pub(super) fn success_status(operation: &str) -> u16 {
    match operation {
        "CreateEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping" => 202,
        "DeleteFunctionConcurrency" | "TagResource" | "UntagResource" => 204,
        _ => 200,
    }
}

impl Lambda {
    pub fn new(world: &World) -> Self {
        let function = |reserved| Function { reserved, tags: BTreeMap::new() };
        let functions = world.functions.iter();
        Self {
            functions: functions.map(|(name, model)| (name.clone(), function(model.reserved_concurrency))).collect(),
            mappings: BTreeMap::new(),
        }
    }

    pub fn call(&mut self, ctx: &mut Ctx, kinesis: &Kinesis, operation: &str, args: Args) -> Answer {
        match operation {
            "GetFunction" => self.get_function(ctx, args),
            "GetFunctionConfiguration" => {
                let (name, given) = self.function(ctx, args)?;
                Ok(configuration(ctx, &name, &given))
            }
            "GetFunctionConcurrency" => {
                let (name, _) = self.function(ctx, args)?;
                let reserved = self.functions.get(&name).and_then(|function| function.reserved);
                Ok(reserved.map_or(Value::Null, |reserved| json!({ "ReservedConcurrentExecutions": reserved })))
            }
            "PutFunctionConcurrency" => self.put_concurrency(ctx, args),
            "DeleteFunctionConcurrency" => {
                let (name, _) = self.function(ctx, args)?;
                self.set_concurrency(ctx, &name, None);
                Ok(Value::Null)
            }
            "GetAccountSettings" => Ok(self.account_settings(ctx)),
            "CreateEventSourceMapping" => self.create_mapping(ctx, kinesis, args),
            "GetEventSourceMapping" => self.get_mapping(args),
            "ListEventSourceMappings" => self.list_mappings(args),
            "UpdateEventSourceMapping" => self.update_mapping(ctx, args),
            "DeleteEventSourceMapping" => self.delete_mapping(ctx, args),
            "ListTags" => self.tags(ctx, args).map(|tags| json!({ "Tags": tags })),
            "TagResource" => {
                let tags = args.map("Tags");
                self.tags(ctx, args)?.extend(tags);
                Ok(Value::Null)
            }
            "UntagResource" => {
                let keep = self.tags(ctx, args)?;
                for key in args.texts("TagKeys") {
                    keep.remove(key);
                }
                Ok(Value::Null)
            }
            _ => Err(Refusal::unknown_operation()),
        }
    }

    pub fn next_due(&self) -> Option<i64> {
        self.mappings.values().filter_map(|mapping| mapping.due_ms).min()
    }

    pub fn settle(&mut self, ctx: &mut Ctx) {
        for mapping in self.mappings.values_mut() {
            if mapping.due_ms.is_some_and(|due| due <= ctx.now) {
                mapping.settle(ctx);
            }
        }
        self.mappings.retain(|_, mapping| !mapping.is_gone());
    }

    /// The function a request means: its name, and its ARN as it was given (qualified or not).
    fn function(&self, ctx: &Ctx, args: Args) -> Result<(String, String), Refusal> {
        let given = args.need_text("FunctionName")?;
        let (name, qualifier) = split_function(given);
        let mut arn = ctx.arn("lambda", &format!("function:{name}"));
        if let Some(qualifier) = qualifier {
            arn = format!("{arn}:{qualifier}");
        }
        if self.functions.contains_key(name) {
            return Ok((name.to_owned(), arn));
        }
        Err(not_found(format!("Function not found: {arn}")))
    }

    fn get_function(&self, ctx: &Ctx, args: Args) -> Answer {
        let (name, given) = self.function(ctx, args)?;
        let function = self.functions.get(&name).cloned().unwrap_or_default();
        let mut output = json!({
            "Configuration": configuration(ctx, &name, &given),
            "Code": { "RepositoryType": "S3", "Location": "https://code.invalid/twin.zip" },
        });
        if !function.tags.is_empty() {
            output["Tags"] = json!(function.tags);
        }
        if let Some(reserved) = function.reserved {
            output["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
        }
        Ok(output)
    }

    fn unreserved(&self, ctx: &Ctx, without: &str) -> u32 {
        let others = self.functions.iter().filter(|(name, _)| *name != without);
        let reserved: u32 = others.filter_map(|(_, function)| function.reserved).sum();
        ctx.world.account_concurrency.saturating_sub(reserved)
    }

    fn put_concurrency(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (name, _) = self.function(ctx, args)?;
        let wanted = args.ranged("ReservedConcurrentExecutions", 0, i64::from(u32::MAX))?;
        let wanted = wanted.ok_or_else(|| invalid("ReservedConcurrentExecutions is required"))? as u32;
        let minimum = ctx.assumptions.unreserved_minimum;
        if self.unreserved(ctx, &name) < wanted.saturating_add(minimum) {
            return Err(invalid(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                 below its minimum value of [{minimum}]."
            )));
        }
        self.set_concurrency(ctx, &name, Some(wanted));
        Ok(json!({ "ReservedConcurrentExecutions": wanted }))
    }

    fn set_concurrency(&mut self, ctx: &mut Ctx, name: &str, value: Option<u32>) {
        let Some(function) = self.functions.get_mut(name) else { return };
        let count = |value: Option<u32>| value.unwrap_or_default().into();
        ctx.change(&format!("function/{name}"), "reservedConcurrency", count(function.reserved), count(value));
        function.reserved = value;
        ctx.plane.set_reserved_concurrency(name, value);
    }

    fn account_settings(&self, ctx: &Ctx) -> Value {
        json!({
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800_i64,
                "CodeSizeUnzipped": 262_144_000,
                "CodeSizeZipped": 52_428_800,
                "ConcurrentExecutions": ctx.world.account_concurrency,
                "UnreservedConcurrentExecutions": self.unreserved(ctx, ""),
            },
            "AccountUsage": { "TotalCodeSize": 0, "FunctionCount": self.functions.len() },
        })
    }

    /// The tags of a function or mapping, by ARN.
    fn tags(&mut self, ctx: &Ctx, args: Args) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let arn = args.need_text("Resource")?;
        let missing = || not_found(format!("The resource you requested does not exist: {arn}"));
        if let Some(uuid) = arn.strip_prefix(&ctx.arn("lambda", "event-source-mapping:")) {
            return self.mappings.get_mut(uuid).map(|mapping| &mut mapping.tags).ok_or_else(missing);
        }
        let name = arn.strip_prefix(&ctx.arn("lambda", "function:")).unwrap_or_default();
        self.functions.get_mut(name).map(|function| &mut function.tags).ok_or_else(missing)
    }
}

/// Name and qualifier of `name`, `name:alias`, a partial or a full ARN.
fn split_function(given: &str) -> (&str, Option<&str>) {
    let short =
        given.split_once(":function:").or_else(|| given.split_once("function:")).map_or(given, |(_, rest)| rest);
    short.split_once(':').map_or((short, None), |(name, qualifier)| (name, Some(qualifier)))
}

fn configuration(ctx: &Ctx, name: &str, arn: &str) -> Value {
    let model = ctx.world.functions.get(name);
    json!({
        "FunctionName": name,
        "FunctionArn": arn,
        "Runtime": "nodejs22.x",
        "Role": format!("arn:aws:iam::{}:role/{name}", ctx.account()),
        "Handler": "index.handler",
        "CodeSize": 1024,
        "Description": "",
        "Timeout": model.map(|model| model.timeout_seconds),
        "MemorySize": model.map(|model| model.memory_mb),
        "LastModified": timestamp(ctx.world.start.as_millisecond()).strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string(),
        "Version": "$LATEST",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "State": "Active",
        "LastUpdateStatus": "Successful",
    })
}

fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new(404, "ResourceNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValueException", message)
}
