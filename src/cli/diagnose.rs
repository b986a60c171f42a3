//! `diagnose`: what is wrong with a pipeline, why, and what to do. Reads only; with a spec, or of a stream that no spec
//! describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    found,
    globals::{Globals, duration},
    plan::LOOK,
    render,
    source::{self, Loaded, SpecArgs},
    target::Session,
};
use crate::{
    aws::Aws,
    cost::PriceSheet,
    diagnose::{self, Estimates, Review, Severity},
    memory::{Decision, Store},
    model::{Facts, Signals, WINDOW},
    observe::{self, Sought},
    spec::{Pipeline, policy},
};

/// Longest time that is looked back: each of its minutes is judged by itself.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Decisions of the daemon that are taken along.
const DECISIONS: usize = 200;

/// Say what is wrong, why, what it leads to and what to do, of any pipeline that runs.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// The spec; `-` reads stdin.
    #[arg(value_name = "FILE", required_unless_present = "stream", conflicts_with = "stream")]
    file: Option<PathBuf>,
    /// Which pipeline, when the file holds several.
    #[arg(long, value_name = "NAME", conflicts_with = "stream")]
    pipeline: Option<String>,
    /// Without a spec: the stream; its consumers are found by their mappings.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Without a spec: a table that the consumers write to; may be repeated.
    #[arg(long, value_name = "NAME", requires = "stream")]
    table: Vec<String>,
    /// How far to look back, up to 24 h.
    #[arg(long, value_name = "DURATION", default_value = "3h", value_parser = since)]
    since: SignedDuration,
}

fn since(text: &str) -> Result<SignedDuration, String> {
    let length = duration(text)?;
    if length > LONGEST { Err("at most 24h".to_owned()) } else { Ok(length) }
}

/// A diagnosis with everything that it was made from.
#[derive(Debug)]
pub struct Diagnosed {
    /// The pipeline of the spec, or the one that was found.
    pub pipeline: Pipeline,
    /// Whether there was a spec.
    pub has_spec: bool,
    /// What exists.
    pub facts: Facts,
    /// What was measured, from half an hour before [`Self::from`] on.
    pub signals: Signals,
    /// What is found now, and what was found since [`Self::from`].
    pub review: Review,
    /// Estimates of each stage, over all that was measured.
    pub estimates: Estimates,
    /// What the daemon decided, oldest first; empty where it never ran from this state directory.
    pub decisions: Vec<Decision>,
    /// The first minute that was judged.
    pub from: Timestamp,
    /// Calls made, by operation.
    pub calls: BTreeMap<String, u64>,
}

impl Diagnosed {
    /// The most urgent finding's severity.
    pub fn severity(&self) -> Option<Severity> {
        self.review.findings.iter().map(|finding| finding.severity).max()
    }
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &DiagnoseArgs) -> Result<Exit, CliError> {
    let (loaded, has_spec) = load(args, console)?;
    let diagnosed = Session::run(globals, console, &loaded.pipeline, LOOK, async |session| {
        let caller = (session.account.as_str(), session.caller.as_str());
        diagnose(&session.aws, caller, &*session.store, &loaded, (!has_spec).then_some(&args.table), args.since).await
    })?;
    if console.json() {
        console.document(&render::diagnosis::document(&diagnosed))?;
    } else {
        console.print(&render::diagnosis::text(&diagnosed, console.color))?;
    }
    Ok(match diagnosed.severity() {
        Some(Severity::Critical) => Exit::Critical,
        Some(Severity::Warning) => Exit::Warning,
        Some(Severity::Info) | None => Exit::Ok,
    })
}

/// The start of the second full minute after a moment: the first has traffic in part only.
fn next_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(60) * 60 + 120).unwrap_or(at)
}

/// The spec, or a pipeline that names the stream only.
fn load(args: &DiagnoseArgs, console: &Console) -> Result<(Loaded, bool), CliError> {
    if let Some(file) = &args.file {
        let spec = SpecArgs { file: file.clone(), pipeline: args.pipeline.clone() };
        return source::load(&spec, console).map(|loaded| (loaded, true));
    }
    let policy = policy::builtin("balanced").ok_or_else(|| CliError::bug(&"the embedded policy does not parse"))?;
    let name = args.stream.as_deref().unwrap_or_default();
    Ok((Loaded { pipeline: found::named(name), policy }, false))
}

/// Observes, judges each minute since then, and estimates. With `tables` the pipeline is made from what exists.
pub async fn diagnose(
    aws: &Aws,
    caller: (&str, &str),
    store: &dyn Store,
    loaded: &Loaded,
    tables: Option<&Vec<String>>,
    since: SignedDuration,
) -> Result<Diagnosed, CliError> {
    let policy = &loaded.policy;
    let named: Vec<String> = loaded.pipeline.tables.iter().map(|table| table.name.clone()).collect();
    let functions: BTreeSet<String> =
        loaded.pipeline.consumers.iter().map(|consumer| consumer.function.clone()).collect();
    let sought = Sought {
        caller,
        stream: &loaded.pipeline.stream.name,
        functions: tables.is_none().then_some(&functions),
        tables: tables.unwrap_or(&named),
    };
    let facts = observe::facts_to_diagnose(aws, sought).await?;
    if facts.stream.is_none() {
        let name = &loaded.pipeline.stream.name;
        return Err(CliError::new(Exit::Failed, format!("stream/{name} does not exist in {}", facts.region))
            .hint("choose another --region or account, or create it with `apply`"));
    }
    if let Some(missing) = tables.into_iter().flatten().find(|name| !facts.tables.contains_key(*name)) {
        return Err(CliError::new(Exit::Failed, format!("table/{missing} does not exist in {}", facts.region)));
    }
    let pipeline = if tables.is_some() { found::pipeline(&facts) } else { loaded.pipeline.clone() };
    let scope = observe::Scope::Diagnosis(since + WINDOW);
    let signals = observe::signals(aws, &pipeline, &facts, policy, scope).await?;
    // Before the stream was there nothing was missing.
    let created = facts.stream.as_ref().and_then(|stream| stream.created_at).map_or(Timestamp::MIN, next_minute);
    let from = (signals.newest_expected - since + MINUTE).max(created.min(signals.newest_expected));
    let mut review = diagnose::review(&pipeline, policy, &facts, &signals, from);
    review.findings.extend(diagnose::economy(&pipeline, policy, &facts, &signals, &PriceSheet::us_east_1()));
    Ok(Diagnosed {
        has_spec: tables.is_none(),
        estimates: diagnose::estimates(&pipeline, policy, &facts, &signals),
        decisions: store.decisions(&pipeline.name, DECISIONS)?,
        calls: aws.calls(),
        pipeline,
        facts,
        signals,
        review,
        from,
    })
}
