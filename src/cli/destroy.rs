//! `destroy`: removes what is the pipeline's own. What holds data stays unless the spec says
//! `deletionPolicy: delete` and the person names the pipeline; it ends by listing what stays and its price.

use clap::Args;
use serde_json::json;

use super::{
    apply::{announce, changes, confirm, perform, writable},
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    plan::{self, Aim},
    source::{self, SpecArgs},
    target::{Need, Pace, Session},
};
use crate::{
    apply::Goal,
    aws::Allow,
    cost::{self, PriceSheet},
    model::{Facts, MappingFacts, TAG_PIPELINE},
    observe,
    spec::Pipeline,
};

/// Remove what belongs to the pipeline.
#[derive(Debug, Args)]
pub struct DestroyArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// The pipeline's name, to delete streams and tables whose deletionPolicy is `delete`. Their data is lost.
    #[arg(long, value_name = "NAME")]
    confirm_name: Option<String>,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Print what would be done and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &DestroyArgs) -> Result<Exit, CliError> {
    let loaded = source::load(&args.spec, console)?;
    let name = &loaded.pipeline.name;
    if let Some(other) = args.confirm_name.as_ref().filter(|confirmed| *confirmed != name) {
        return Err(CliError::new(
            Exit::Blocked,
            format!("--confirm-name says `{other}` and the pipeline is `{name}`; nothing was changed"),
        ));
    }
    let confirmed = args.confirm_name.as_deref();
    if args.dry_run {
        return plan::dry_run(globals, console, &loaded, Aim::Destroy(confirmed));
    }
    writable(&loaded)?;
    let need = Need { allow: Allow::Destroy, pace: Pace::Jump, long_running: false, read_only: false, remark: None };
    Session::run(globals, console, &loaded.pipeline, need, async |session| {
        let prepared = plan::prepare(session, &loaded, Aim::Destroy(confirmed)).await?;
        announce(console, &prepared)?;
        let mut facts = None;
        if !prepared.plan.is_empty() {
            confirm(console, args.yes, &format!("Destroy {name}: {}?", changes(prepared.plan.changes.len())))?;
            let goal = Goal::Destroy { confirmed: args.confirm_name.clone() };
            perform(globals, console, session, &loaded, &prepared, goal).await?;
            facts = Some(observe::facts(&session.aws, &loaded.pipeline).await?);
        }
        remains(console, &loaded.pipeline, facts.as_ref().unwrap_or(&prepared.facts))?;
        Ok(Exit::Ok)
    })
}

/// Says what is still there and what it costs.
fn remains(console: &Console, pipeline: &Pipeline, facts: &Facts) -> Result<(), CliError> {
    let left = ours(pipeline, facts);
    let monthly = cost::of_facts(facts, &PriceSheet::us_east_1()).per_month();
    if console.json() {
        return console.line(&json!({ "event": "remains", "resources": left, "usdPerMonth": monthly }));
    }
    if left.is_empty() {
        return console.print("Nothing of this pipeline remains.\n");
    }
    console.print(&format!("What remains costs ${monthly:.2} a month at rest: {}.\n", left.join(", ")))
}

/// The resources named in the spec that still exist and carry this pipeline's tag.
fn ours(pipeline: &Pipeline, facts: &Facts) -> Vec<String> {
    let tagged = |tags: &std::collections::BTreeMap<String, String>| tags.get(TAG_PIPELINE) == Some(&pipeline.name);
    let mapping = |mapping: &&MappingFacts| tagged(&mapping.tags);
    let stream =
        facts.stream.iter().filter(|stream| tagged(&stream.tags)).map(|stream| format!("stream/{}", stream.name));
    let tables = facts.tables.values().filter(|table| tagged(&table.tags)).map(|table| format!("table/{}", table.name));
    let mappings = facts.mappings.iter().filter(mapping).map(|mapping| format!("mapping {}", mapping.uuid));
    let consumers = facts
        .fan_out
        .iter()
        .filter(|consumer| tagged(&consumer.tags))
        .map(|it| format!("fan-out consumer {}", it.name));
    stream.chain(tables).chain(mappings).chain(consumers).collect()
}
