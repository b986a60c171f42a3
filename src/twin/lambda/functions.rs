//! Functions: create, read, update, delete, list. A change shows at once and is in force when it has settled;
//! until then another one conflicts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Lambda, Named, code::Package, configuration::Configuration, conflict, invalid, names, tags};
use crate::twin::{
    Ctx, timestamp, uuid,
    wire::{Answer, Args, Cause, Refusal},
    world::FunctionModel,
};

/// Functions of one answer of ListFunctions (API reference).
const PAGE: i64 = 50;

/// A function as the control plane knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Function {
    pub reserved: Option<u32>,
    pub tags: BTreeMap<String, String>,
    configuration: Configuration,
    package: Package,
    revision: String,
    modified_ms: i64,
    /// Not created completely yet.
    pending: bool,
    /// When the creation or update that is under way ends.
    pub due_ms: Option<i64>,
}

impl Function {
    /// A function of the world, which exists from the start.
    pub fn of(name: &str, model: &FunctionModel, account: &str, start_ms: i64) -> Self {
        let key = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self {
            reserved: model.reserved_concurrency,
            tags: BTreeMap::new(),
            configuration: Configuration::of(model, format!("arn:aws:iam::{account}:role/{name}")),
            package: Package::elsewhere(name, false),
            revision: uuid(key, 0),
            modified_ms: start_ms,
            pending: false,
            due_ms: None,
        }
    }

    /// The transition under way ends: the settings are in force.
    pub fn settle(&mut self, ctx: &mut Ctx, name: &str) {
        (self.due_ms, self.pending) = (None, false);
        ctx.plane.set_function(name, self.configuration.timeout, self.configuration.memory);
    }

    /// Refuses while another change is under way.
    pub fn need_settled(&self, arn: &str) -> Result<(), Refusal> {
        if self.due_ms.is_none() {
            return Ok(());
        }
        let why = if self.pending {
            "The function is currently in the following state: Pending".to_owned()
        } else {
            format!("An update is in progress for resource: {arn}")
        };
        Err(conflict(format!("The operation cannot be performed at this time. {why}")).for_cause(Cause::Transition))
    }

    fn need_revision(&self, args: Args) -> Result<(), Refusal> {
        if args.text("RevisionId").is_none_or(|given| given == self.revision) {
            return Ok(());
        }
        let message = "The RevisionId provided does not match the latest RevisionId. Call the GetFunction or the \
                       GetAlias API to retrieve the latest RevisionId for your resource.";
        Err(Refusal::new(412, "PreconditionFailedException", message))
    }

    fn touch(&mut self, ctx: &mut Ctx, seconds: u32) {
        self.revision = ctx.ids.resource();
        self.modified_ms = ctx.now;
        self.due_ms = Some(ctx.now + i64::from(seconds) * 1_000);
    }

    fn json(&self, named: &Named) -> Value {
        let settings = &self.configuration;
        let state = if self.pending { "Pending" } else { "Active" };
        let update = if self.due_ms.is_some() && !self.pending { "InProgress" } else { "Successful" };
        let modified = timestamp(self.modified_ms).strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
        let mut value = json!({
            "FunctionName": named.name,
            "FunctionArn": named.arn,
            "Role": settings.role,
            "CodeSize": self.package.size,
            "CodeSha256": self.package.sha256,
            "Description": settings.description,
            "Timeout": settings.timeout,
            "MemorySize": settings.memory,
            "LastModified": modified,
            "Version": "$LATEST",
            "RevisionId": self.revision,
            "PackageType": if self.package.image { "Image" } else { "Zip" },
            "Architectures": [settings.architecture],
            "EphemeralStorage": { "Size": settings.storage },
            "TracingConfig": { "Mode": settings.tracing },
            "State": state,
            "LastUpdateStatus": update,
        });
        for (member, given) in [("Runtime", &settings.runtime), ("Handler", &settings.handler)] {
            if let Some(given) = given {
                value[member] = json!(given);
            }
        }
        if self.pending {
            value["StateReason"] = json!("The function is being created.");
            value["StateReasonCode"] = json!("Creating");
        }
        if update == "InProgress" {
            value["LastUpdateStatusReason"] = json!("The function is being updated.");
            value["LastUpdateStatusReasonCode"] = json!("Updating");
        }
        if !settings.environment.is_empty() {
            value["Environment"] = json!({ "Variables": settings.environment });
        }
        if !settings.layers.is_empty() {
            let layer = |arn: &String| json!({ "Arn": arn, "CodeSize": 0 });
            value["Layers"] = settings.layers.iter().map(layer).collect();
        }
        value
    }
}

impl Lambda {
    pub(super) fn create_function(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let named = names::parse(ctx, args.need_text("FunctionName")?)?;
        if named.qualifier.is_some() {
            return Err(invalid("FunctionName of a new function has no qualifier."));
        }
        signing(args)?;
        let code = args.at("Code").ok_or_else(|| invalid("Please provide a source for function code."))?;
        let package = Package::from(code)?;
        let configuration = Configuration::create(args, package.image)?;
        let tags = args.map("Tags");
        tags::check(&tags)?;
        if self.functions.contains_key(&named.name) {
            return Err(conflict(format!("Function already exist: {}", named.name)));
        }
        self.need_room(ctx, &named.name, package.size)?;
        let model = ctx.world.functions.get(&named.name);
        let model = model.unwrap_or(&ctx.assumptions.function);
        let model = FunctionModel { reserved_concurrency: None, ..model.clone() };
        ctx.plane.put_function(&named.name, &model, ctx.world.racers());
        ctx.plane.set_function(&named.name, configuration.timeout, configuration.memory);
        let mut function = Function {
            reserved: None,
            tags,
            configuration,
            package,
            revision: String::new(),
            modified_ms: ctx.now,
            pending: true,
            due_ms: None,
        };
        function.touch(ctx, ctx.assumptions.function_create_seconds);
        let output = function.json(&named);
        self.functions.insert(named.name, function);
        Ok(output)
    }

    pub(super) fn get_function(&self, ctx: &Ctx, args: Args) -> Answer {
        let (named, function) = self.find(ctx, args)?;
        let mut output = json!({
            "Configuration": function.json(&named),
            "Code": { "RepositoryType": "S3", "Location": "https://code.invalid/twin.zip" },
        });
        if function.package.image {
            output["Code"] = json!({ "RepositoryType": "ECR", "ImageUri": "code.invalid/twin" });
        }
        if !function.tags.is_empty() {
            output["Tags"] = json!(function.tags);
        }
        if let Some(reserved) = function.reserved {
            output["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
        }
        Ok(output)
    }

    pub(super) fn get_configuration(&self, ctx: &Ctx, args: Args) -> Answer {
        self.find(ctx, args).map(|(named, function)| function.json(&named))
    }

    pub(super) fn update_configuration(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (named, function) = self.find_whole(ctx, args)?;
        function.need_revision(args)?;
        function.need_settled(&named.arn)?;
        let mut changed = function.configuration.clone();
        changed.change(args)?;
        function.configuration = changed;
        function.touch(ctx, ctx.assumptions.function_update_seconds);
        Ok(function.json(&named))
    }

    pub(super) fn update_code(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (named, function) = self.find_whole(ctx, args)?;
        function.need_revision(args)?;
        function.need_settled(&named.arn)?;
        let (image, old) = (function.package.image, function.package.size);
        let package = Package::from(args)?;
        if package.image != image {
            return Err(invalid("Please provide ImageUri when updating a function with packageType Image."));
        }
        self.need_room(ctx, &named.name, package.size.saturating_sub(old))?;
        let (named, function) = self.find_whole(ctx, args)?;
        if args.flag("DryRun") == Some(true) {
            let preview = Function { package, ..function.clone() };
            return Ok(preview.json(&named));
        }
        function.package = package;
        function.touch(ctx, ctx.assumptions.function_update_seconds);
        Ok(function.json(&named))
    }

    pub(super) fn delete_function(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (named, function) = self.find_whole(ctx, args)?;
        function.need_settled(&named.arn)?;
        self.set_concurrency(ctx, &named.name, None);
        self.functions.remove(&named.name);
        ctx.plane.remove_function(&named.name);
        Ok(Value::Null)
    }

    pub(super) fn list_functions(&self, ctx: &Ctx, args: Args) -> Answer {
        let at_most = args.ranged("MaxItems", 1, 10_000)?.unwrap_or(PAGE).min(PAGE) as usize;
        let marker = args.text("Marker").unwrap_or_default();
        if !marker.is_empty() && names::check(marker).is_err() {
            return Err(invalid("Invalid marker."));
        }
        let mut rest = self.functions.iter().filter(|(name, _)| name.as_str() > marker);
        let page: Vec<_> = rest.by_ref().take(at_most).collect();
        let named = |name: &str| Named { name: name.to_owned(), qualifier: None, arn: names::arn(ctx, name) };
        let functions: Vec<Value> = page.iter().map(|(name, function)| function.json(&named(name))).collect();
        let mut output = json!({ "Functions": functions });
        if let Some((name, _)) = page.last().filter(|_| rest.next().is_some()) {
            output["NextMarker"] = json!(name);
        }
        Ok(output)
    }

    /// Bytes of all packages.
    pub(super) fn code_size(&self) -> u64 {
        self.functions.values().map(|function| function.package.size).sum()
    }

    fn need_room(&self, ctx: &Ctx, name: &str, more: u64) -> Result<(), Refusal> {
        let full = self.functions.len() >= ctx.assumptions.functions_maximum && !self.functions.contains_key(name);
        if full || self.code_size().saturating_add(more) > ctx.assumptions.code_storage_bytes {
            return Err(Refusal::new(400, "CodeStorageExceededException", "Code storage limit exceeded."));
        }
        Ok(())
    }
}

/// The twin has no code signing configuration.
fn signing(args: Args) -> Result<(), Refusal> {
    args.text("CodeSigningConfigArn").map_or(Ok(()), |arn| {
        let message = format!("The code signing configuration cannot be found: {arn}");
        Err(Refusal::new(404, "CodeSigningConfigNotFoundException", message))
    })
}
