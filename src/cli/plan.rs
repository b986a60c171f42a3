//! `plan`: what `apply` would do. Makes no mutating call, and nothing appears on disk on AWS's account.

use clap::Args;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    render,
    source::{self, Loaded, SpecArgs},
    target::{Need, Pace, Session},
};
use crate::{
    apply,
    aws::Allow,
    cost::PriceSheet,
    memory::Memory,
    model::Facts,
    observe,
    plan::{self, Input, Plan},
    scale,
};

/// Show what would change, why, how long it takes and what it costs.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Exit with 2 when there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What a command needs that only looks.
pub const LOOK: Need =
    Need { allow: Allow::Reads, pace: Pace::Jump, long_running: false, read_only: true, remark: None };

/// What is wanted of the pipeline.
#[derive(Debug, Clone, Copy)]
pub enum Aim<'a> {
    /// That it exists as the spec says.
    Provision,
    /// That it goes; with the name that was confirmed.
    Destroy(Option<&'a str>),
}

/// A plan with what it was made from.
pub struct Prepared {
    /// What exists.
    pub facts: Facts,
    /// What is remembered.
    pub memory: Memory,
    /// What would change.
    pub plan: Plan,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &PlanArgs) -> Result<Exit, CliError> {
    let loaded = source::load(&args.spec, console)?;
    let changes = show(globals, console, &loaded, Aim::Provision, LOOK)?;
    Ok(if args.detailed_exitcode && changes { Exit::Changes } else { Exit::Ok })
}

/// What `--dry-run` does instead.
pub fn dry_run(globals: &Globals, console: &Console, loaded: &Loaded, aim: Aim<'_>) -> Result<Exit, CliError> {
    show(globals, console, loaded, aim, Need { remark: Some("dry run"), ..LOOK }).map(|_| Exit::Ok)
}

/// Prints a plan and changes nothing; whether there are changes.
fn show(globals: &Globals, console: &Console, loaded: &Loaded, aim: Aim<'_>, need: Need) -> Result<bool, CliError> {
    let prepared =
        Session::run(globals, console, &loaded.pipeline, need, async |session| prepare(session, loaded, aim).await)?;
    print(console, &prepared.plan)?;
    startable(&prepared.plan)?;
    Ok(!prepared.plan.is_empty())
}

/// Observes, remembers, plans and re-checks the plan.
pub async fn prepare(session: &Session, loaded: &Loaded, aim: Aim<'_>) -> Result<Prepared, CliError> {
    let Loaded { pipeline, policy } = loaded;
    let facts = observe::facts(&session.aws, pipeline).await?;
    let memory = session.memory(pipeline, policy, &facts)?;
    let now = session.aws.clock().now();
    let prices = PriceSheet::us_east_1();
    let evidence = match aim {
        Aim::Provision => apply::evidence(&session.aws, pipeline, policy, &facts, None).await?,
        Aim::Destroy(_) => None,
    };
    let input = Input {
        pipeline,
        facts: &facts,
        targets: None,
        ledger_used: scale::reshards_used(&memory.reshards, now),
        exhausted_until: memory.reshards.exhausted_until,
        prices: &prices,
        policy,
        evidence: evidence.as_ref(),
        refused_moves: &memory.fan_out.refused,
        break_glass_since: memory.stream_mode.break_glass_since,
        now,
    };
    let plan = match aim {
        Aim::Provision => plan::plan(&input),
        Aim::Destroy(confirmed) => plan::destroy(&input, confirmed),
    };
    let broken = plan::lint(&plan, &input);
    if !broken.is_empty() {
        return Err(CliError::bug(&format!("the plan breaks its own rules: {}", broken.join("; "))));
    }
    Ok(Prepared { facts, memory, plan })
}

/// Prints a plan as the console wants it.
pub fn print(console: &Console, plan: &Plan) -> Result<(), CliError> {
    if console.json() {
        return console.document(&render::plan::document(plan));
    }
    console.print(&render::plan::text(plan, console.color))
}

/// Refuses a plan with a conflict in it: then none of it is carried out. What only waits for a budget, and what a
/// destroy keeps, is no conflict.
pub fn startable(plan: &Plan) -> Result<(), CliError> {
    let conflicts: Vec<String> = plan
        .blocked
        .iter()
        .filter(|blocked| blocked.is_conflict())
        .map(|blocked| format!("{} ({})", blocked.resource, blocked.code))
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(CliError::new(Exit::Blocked, format!("refused: {}; nothing was changed", conflicts.join(", "))))
}
