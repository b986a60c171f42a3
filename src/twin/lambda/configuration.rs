//! The settings of a function: what CreateFunction and UpdateFunctionConfiguration take, with Lambda's ranges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::twin::{
    wire::{Args, Refusal},
    world::FunctionModel,
};

/// Bytes of all environment variables together (Lambda quotas: 4 KB).
const ENVIRONMENT_BYTES: usize = 4_096;
/// Layers of a function (Lambda quotas).
const LAYERS: usize = 5;
/// Letters of a description and of a handler (API reference).
const DESCRIPTION_LETTERS: usize = 256;
const HANDLER_LETTERS: usize = 128;

/// Runtimes that CreateFunction takes (Lambda runtimes, supported ones).
const RUNTIMES: &[&str] = &[
    "nodejs24.x",
    "nodejs22.x",
    "nodejs20.x",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "java25",
    "java21",
    "java17",
    "java11",
    "java8.al2",
    "dotnet10",
    "dotnet9",
    "dotnet8",
    "ruby3.4",
    "ruby3.3",
    "provided.al2023",
    "provided.al2",
];

/// The settings of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub timeout: u32,
    pub memory: u32,
    pub storage: u32,
    pub runtime: Option<String>,
    pub handler: Option<String>,
    pub role: String,
    pub description: String,
    pub architecture: String,
    pub environment: BTreeMap<String, String>,
    pub layers: Vec<String>,
    pub tracing: String,
}

impl Configuration {
    /// A function of the world.
    pub fn of(model: &FunctionModel, role: String) -> Self {
        Self {
            timeout: model.timeout_seconds,
            memory: model.memory_mb,
            runtime: Some("nodejs22.x".to_owned()),
            handler: Some("index.handler".to_owned()),
            ..Self::new(role)
        }
    }

    /// Lambda's defaults.
    fn new(role: String) -> Self {
        Self {
            timeout: 3,
            memory: 128,
            storage: 512,
            runtime: None,
            handler: None,
            role,
            description: String::new(),
            architecture: "x86_64".to_owned(),
            environment: BTreeMap::new(),
            layers: Vec::new(),
            tracing: "PassThrough".to_owned(),
        }
    }

    /// The settings of a CreateFunction request.
    ///
    /// # Errors
    /// When a member is missing or outside its range.
    pub fn create(args: Args, image: bool) -> Result<Self, Refusal> {
        let mut settings = Self::new(args.need_text("Role")?.to_owned());
        if let Some(architecture) = args.texts("Architectures").next() {
            settings.architecture = among("architectures", architecture, &["x86_64", "arm64"])?;
        }
        settings.change(args)?;
        if !image && (settings.runtime.is_none() || settings.handler.is_none()) {
            return Err(invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            ));
        }
        if image && (settings.runtime.is_some() || settings.handler.is_some()) {
            return Err(invalid(
                "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
            ));
        }
        Ok(settings)
    }

    /// Takes over the members that are present.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn change(&mut self, args: Args) -> Result<(), Refusal> {
        let counts = [("Timeout", 1, 900, &mut self.timeout), ("MemorySize", 128, 10_240, &mut self.memory)];
        for (member, low, high, field) in counts {
            if let Some(value) = args.ranged(member, low, high)? {
                *field = value as u32;
            }
        }
        if let Some(size) = args.at("EphemeralStorage") {
            self.storage = size.ranged("Size", 512, 10_240)?.unwrap_or(512) as u32;
        }
        if let Some(role) = args.text("Role") {
            role.clone_into(&mut self.role);
        }
        let account = self.role.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
        if !account.is_some_and(|(account, name)| account.len() == 12 && !name.is_empty()) {
            let pattern =
                r"satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+";
            return Err(Refusal::constraint(&self.role, "role", pattern));
        }
        if let Some(runtime) = args.text("Runtime") {
            self.runtime = Some(among("runtime", runtime, RUNTIMES)?);
        }
        if let Some(handler) = args.text("Handler") {
            self.handler = Some(short("handler", handler, HANDLER_LETTERS)?);
        }
        if let Some(description) = args.text("Description") {
            self.description = short("description", description, DESCRIPTION_LETTERS)?;
        }
        if let Some(mode) = args.at("TracingConfig").and_then(|tracing| tracing.text("Mode")) {
            self.tracing = among("tracingConfig.mode", mode, &["Active", "PassThrough"])?;
        }
        self.change_environment(args)?;
        self.change_layers(args)
    }

    fn change_environment(&mut self, args: Args) -> Result<(), Refusal> {
        let Some(environment) = args.at("Environment") else { return Ok(()) };
        let variables = environment.map("Variables");
        let bytes: usize = variables.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > ENVIRONMENT_BYTES {
            return Err(invalid(
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided exceeded the 4KB limit.",
            ));
        }
        let plain = |key: &String| {
            key.len() > 1
                && key.starts_with(|first: char| first.is_ascii_alphabetic())
                && key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if let Some(key) = variables.keys().find(|key| !plain(key)) {
            let pattern =
                "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]";
            return Err(Refusal::constraint(key, "environment.variables", pattern));
        }
        if let Some(key) = variables.keys().find(|key| key.starts_with("AWS_LAMBDA_") || *key == "AWS_REGION") {
            return Err(invalid(format!(
                "Lambda was unable to configure your environment variables because the environment variables you have \
                 provided contains reserved keys that are currently not supported for modification. Reserved keys used \
                 in this request: {key}"
            )));
        }
        self.environment = variables;
        Ok(())
    }

    fn change_layers(&mut self, args: Args) -> Result<(), Refusal> {
        if args.get("Layers").is_none() {
            return Ok(());
        }
        let layers: Vec<String> = args.texts("Layers").map(str::to_owned).collect();
        if layers.len() > LAYERS {
            return Err(invalid(format!("Layers: a function can use up to {LAYERS} layers.")));
        }
        if let Some(layer) = layers.iter().find(|layer| layer.split(':').count() != 8 || layer.len() > 140) {
            return Err(invalid(format!("Invalid layer version ARN: {layer}")));
        }
        self.layers = layers;
        Ok(())
    }
}

/// The value when it is one of these.
pub(super) fn among(member: &str, value: &str, set: &[&str]) -> Result<String, Refusal> {
    if set.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(invalid(format!(
        "Value {value} at '{member}' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a \
         valid ARN",
        set.join(", ")
    )))
}

fn short(member: &str, value: &str, most: usize) -> Result<String, Refusal> {
    if value.chars().count() <= most {
        return Ok(value.to_owned());
    }
    Err(Refusal::constraint(value, member, &format!("have length less than or equal to {most}")))
}
