//! The Lambda control plane: functions with their concurrency, and event source mappings.
//!
//! The world's functions exist from the start; others are created on the wire and behave as the world's function
//! of that name, or else as [`super::Assumptions::function`]. Code is never run. Paths, status codes and
//! messages: AWS Lambda API reference (botocore's model), and messages that public tools match on.

mod code;
mod concurrency;
mod configuration;
mod filters;
mod functions;
mod mappings;
mod names;
mod settings;
mod tags;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ctx, World,
    kinesis::Kinesis,
    wire::{Answer, Args, Refusal, percent_decode},
};
use functions::Function;
use mappings::Mapping;

/// A function as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    qualifier: Option<String>,
    /// Qualified when the request was.
    arn: String,
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
        ("POST", ["2015-03-31", "functions"]) => ("CreateFunction", None),
        ("GET", ["2015-03-31", "functions"]) => ("ListFunctions", None),
        ("DELETE", ["2015-03-31", "functions", name]) => ("DeleteFunction", Some(("FunctionName", *name))),
        ("PUT", ["2015-03-31", "functions", name, "code"]) => ("UpdateFunctionCode", Some(("FunctionName", *name))),
        ("PUT", ["2015-03-31", "functions", name, "configuration"]) => {
            ("UpdateFunctionConfiguration", Some(("FunctionName", *name)))
        }
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
        "CreateFunction" => 201,
        "CreateEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping" => 202,
        "DeleteFunction" | "DeleteFunctionConcurrency" | "TagResource" | "UntagResource" => 204,
        _ => 200,
    }
}

impl Lambda {
    pub fn new(world: &World) -> Self {
        let start = world.start.as_millisecond();
        let function =
            |(name, model): (&String, _)| (name.clone(), Function::of(name, model, &world.account_id, start));
        Self { functions: world.functions.iter().map(function).collect(), mappings: BTreeMap::new() }
    }

    pub fn call(&mut self, ctx: &mut Ctx, kinesis: &Kinesis, operation: &str, args: Args) -> Answer {
        match operation {
            "CreateFunction" => self.create_function(ctx, args),
            "GetFunction" => self.get_function(ctx, args),
            "GetFunctionConfiguration" => self.get_configuration(ctx, args),
            "UpdateFunctionConfiguration" => self.update_configuration(ctx, args),
            "UpdateFunctionCode" => self.update_code(ctx, args),
            "DeleteFunction" => self.delete_function(ctx, args),
            "ListFunctions" => self.list_functions(ctx, args),
            "GetFunctionConcurrency" => self.get_concurrency(ctx, args),
            "PutFunctionConcurrency" => self.put_concurrency(ctx, args),
            "DeleteFunctionConcurrency" => self.delete_concurrency(ctx, args),
            "GetAccountSettings" => Ok(self.account_settings(ctx)),
            "CreateEventSourceMapping" => self.create_mapping(ctx, kinesis, args),
            "GetEventSourceMapping" => self.get_mapping(ctx, args),
            "ListEventSourceMappings" => self.list_mappings(ctx, args),
            "UpdateEventSourceMapping" => self.update_mapping(ctx, args),
            "DeleteEventSourceMapping" => self.delete_mapping(ctx, args),
            "ListTags" => self.list_tags(ctx, args),
            "TagResource" => self.tag(ctx, args),
            "UntagResource" => self.untag(ctx, args),
            _ => Err(Refusal::unknown_operation()),
        }
    }

    pub fn next_due(&self) -> Option<i64> {
        let functions = self.functions.values().filter_map(|function| function.due_ms);
        self.mappings.values().filter_map(|mapping| mapping.due_ms).chain(functions).min()
    }

    pub fn settle(&mut self, ctx: &mut Ctx) {
        for (name, function) in &mut self.functions {
            if function.due_ms.is_some_and(|due| due <= ctx.now) {
                function.settle(ctx, name);
            }
        }
        for mapping in self.mappings.values_mut() {
            if mapping.due_ms.is_some_and(|due| due <= ctx.now) {
                mapping.settle(ctx);
            }
        }
        self.mappings.retain(|_, mapping| !mapping.is_gone());
    }
}

fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new(404, "ResourceNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterValueException", message)
}

fn conflict(message: impl Into<String>) -> Refusal {
    Refusal::new(409, "ResourceConflictException", message)
}
