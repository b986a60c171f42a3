//! `history`: what the daemon decided, from what, and whether it came as expected. Reads only.
//!
//! What always holds: a decision that is shown to follow from its inputs was made again from them, here and now.

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::{Globals, duration},
    plan::LOOK,
    render,
    source::{self, SpecArgs},
    target::Session,
};
use crate::{
    memory::{Decision, Inputs, KEPT_DECISIONS, KEPT_INPUTS},
    scale,
};

/// Show what the daemon decided, from what, and whether it came as expected.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Only decisions of so long ago or less, e.g. 24h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<SignedDuration>,
    /// Only so many, the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// The whole story of one decision, and whether its inputs still lead to it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "limit"])]
    explain: Option<u64>,
}

/// What `history --output json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct History<'a> {
    /// Version of this form, `major.minor`.
    format_version: &'static str,
    /// The pipeline's name.
    pipeline: &'a str,
    /// Oldest first.
    decisions: Vec<Decision>,
}

/// One decision with all there is to it: what `history --explain ID --output json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Version of this form, `major.minor`.
    pub format_version: &'static str,
    /// The pipeline's name.
    pub pipeline: String,
    /// The decision.
    pub decision: Decision,
    /// Whether its inputs lead to it again.
    pub replay: Replay,
}

/// Whether the inputs of a decision lead to it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum Replay {
    /// Byte for byte.
    Agrees {
        /// Size of what is kept, bytes.
        bytes: usize,
    },
    /// Some parts come out otherwise.
    Differs {
        /// Which.
        parts: Vec<&'static str>,
        /// The version that decided.
        version: String,
    },
    /// They are not kept, or not readable.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &HistoryArgs) -> Result<Exit, CliError> {
    let loaded = source::load(&args.spec, console)?;
    let name = &loaded.pipeline.name;
    Session::run(globals, console, &loaded.pipeline, LOOK, async |session| {
        if let Some(id) = args.explain {
            let story = story(session, name, id)?;
            if console.json() {
                console.document(&story)?;
            } else {
                console.print(&render::history::story(&story, console.color))?;
            }
            return Ok(Exit::Ok);
        }
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let from = args.since.and_then(|since| session.aws.clock().now().checked_sub(since).ok());
        let mut decisions = session.store.decisions(name, limit)?;
        decisions.retain(|decision| from.is_none_or(|from| decision.at >= from));
        if console.json() {
            console.document(&History { format_version: "1.0", pipeline: name, decisions })?;
        } else {
            console.print(&render::history::list(&decisions, console.color))?;
        }
        Ok(Exit::Ok)
    })
}

fn story(session: &Session, pipeline: &str, id: u64) -> Result<Story, CliError> {
    let decisions = session.store.decisions(pipeline, KEPT_DECISIONS as usize)?;
    let ends = decisions.first().zip(decisions.last()).map(|(first, last)| (first.id, last.id));
    let Some(decision) = decisions.into_iter().find(|decision| decision.id == id) else {
        let known =
            ends.map_or("none is known here".to_owned(), |(first, last)| format!("{first} to {last} are known"));
        return Err(CliError::new(Exit::Usage, format!("there is no decision {id} of {pipeline}: {known}"))
            .hint("`alleycat-operator history FILE` lists them; a daemon writes them to its state directory"));
    };
    let replay = replay(session.store.inputs(pipeline, id)?);
    Ok(Story { format_version: "1.0", pipeline: pipeline.to_owned(), decision, replay })
}

fn replay(packet: Option<Vec<u8>>) -> Replay {
    let Some(packet) = packet else {
        return Replay::Unknown {
            why: format!("its inputs are not kept; those of the last {KEPT_INPUTS} decisions are"),
        };
    };
    let again = Inputs::unpack(&packet).and_then(|inputs| Ok((scale::replay(&inputs)?, inputs.version)));
    match again {
        Ok((parts, _)) if parts.is_empty() => Replay::Agrees { bytes: packet.len() },
        Ok((parts, version)) => Replay::Differs { parts, version },
        Err(error) => Replay::Unknown { why: error.to_string() },
    }
}
