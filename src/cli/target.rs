//! What a command talks to: AWS, or the twin with `--local`. Builds the runtime, the clock, the clients
//! and the store that fit, and checks the account before anything else.
//!
//! What always holds: memory of one account and region is never used for another, nor the twin's for AWS.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    local::{Hosted, Local},
};
use crate::{
    aws::{Allow, Aws, Clock, Connect},
    memory::{MemStore, Memory, RedbStore, Store, StoreError},
    model::Facts,
    scale,
    spec::{Pipeline, ScalingPolicy},
};

/// How time runs with `--local`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// It stands still, and jumps to the next timer whenever everybody waits.
    Jump,
    /// This many virtual seconds a second.
    Speed(f64),
}

/// What a command needs.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Which mutating calls may leave the process.
    pub allow: Allow,
    /// How the twin's time runs.
    pub pace: Pace,
    /// Whether it serves for long and may use several threads (on AWS only).
    pub long_running: bool,
    /// Whether it only looks: then nothing is created on disk and of a store that another process holds a copy is read.
    pub read_only: bool,
    /// What the first line says about it, e.g. `dry run`.
    pub remark: Option<&'static str>,
}

/// The target of one command.
pub struct Session {
    /// The clients.
    pub aws: Aws,
    /// The caller's account.
    pub account: String,
    /// The caller's ARN.
    pub caller: String,
    /// What is remembered of pipelines.
    pub store: Box<dyn Store>,
    local: Option<Hosted>,
}

impl Session {
    /// Runs `work` against the target that `globals` name, and leaves the twin (if it is that) written down.
    pub fn run<T>(
        globals: &Globals,
        console: &Console,
        pipeline: &Pipeline,
        need: Need,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        globals.check()?;
        let local = globals.local.is_some().then(|| Local::open(globals, console)).transpose()?;
        let paused = local.is_some() && need.pace == Pace::Jump;
        let runtime = runtime(need.long_running && local.is_none(), paused)?;
        runtime.block_on(async {
            let mut session = Self::open(globals, pipeline, need, local).await?;
            console.note(&session.header(need.remark));
            let done = work(&mut session).await;
            let closed = session.local.as_ref().map_or(Ok(()), Hosted::close);
            let done = done?;
            closed.map(|()| done)
        })
    }

    async fn open(globals: &Globals, pipeline: &Pipeline, need: Need, local: Option<Local>) -> Result<Self, CliError> {
        let speed = match need.pace {
            Pace::Jump => 1.0,
            Pace::Speed(speed) => speed,
        };
        let local = local.map(|local| local.host(speed));
        let clock = local.as_ref().map_or_else(Clock::system, |local| local.clock().clone());
        let http_client: Option<SharedHttpClient> = local.as_ref().map(|local| local.host.http_client());
        let aws = Aws::connect(Connect {
            region: globals
                .region
                .clone()
                .or_else(|| pipeline.region.clone())
                .or_else(|| local.as_ref().map(Hosted::region)),
            profile: globals.profile.clone(),
            endpoint_url: globals.endpoint_url.clone(),
            http_client,
            clock,
            allow: need.allow,
        })
        .await?;
        let identity = aws.identity().await?;
        check_account(pipeline, &identity.account)?;
        let dir = match &local {
            Some(local) => local.dir().map(Path::to_path_buf),
            None => match globals.state_dir() {
                Ok(dir) => dir.map(|dir| dir.join("aws").join(&identity.account).join(aws.region())),
                // Who only looks needs no place to write.
                Err(_) if need.read_only => None,
                Err(error) => return Err(error),
            },
        };
        let store = open_store(dir, need.read_only)?;
        Ok(Self { aws, account: identity.account, caller: identity.arn, store, local })
    }

    /// One line that says where a command works: account, region, identity, and what is unusual about it.
    fn header(&self, remark: Option<&str>) -> String {
        let mut text =
            format!("account {}  region {}  identity {}", self.account, self.aws.region(), short_arn(&self.caller));
        if let Some(local) = &self.local {
            let _ = write!(text, "  simulated AWS ({})", local.world);
        } else if let Some(endpoint) = self.aws.endpoint() {
            let _ = write!(text, "  endpoint {endpoint}");
        }
        if let Some(remark) = remark {
            let _ = write!(text, "  {remark}");
        }
        text
    }

    /// What is remembered of a pipeline, brought up to date with what exists now.
    pub fn memory(&self, pipeline: &Pipeline, policy: &ScalingPolicy, facts: &Facts) -> Result<Memory, CliError> {
        let mut memory = self.store.load(&pipeline.name)?.unwrap_or_else(Memory::empty);
        scale::remember(&mut memory, policy, facts, self.aws.clock().now());
        Ok(memory)
    }
}

fn runtime(threads: bool, paused: bool) -> Result<tokio::runtime::Runtime, CliError> {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all();
    if paused {
        builder.start_paused(true);
    }
    builder.build().map_err(|error| CliError::new(Exit::Failed, format!("cannot start the runtime: {error}")))
}

fn check_account(pipeline: &Pipeline, account: &str) -> Result<(), CliError> {
    let expected = &pipeline.expected_account_ids;
    if expected.is_empty() || expected.iter().any(|id| id == account) {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Blocked,
        format!("wrong account: these credentials belong to {account}, and the spec expects {}", expected.join(" or ")),
    )
    .hint("choose other credentials with --profile, or change expectedAccountIds in the spec"))
}

fn open_store(dir: Option<PathBuf>, read_only: bool) -> Result<Box<dyn Store>, CliError> {
    let Some(dir) = dir else {
        return Ok(Box::new(MemStore::new()));
    };
    if !read_only {
        return Ok(Box::new(RedbStore::open(&dir)?));
    }
    if !dir.join("memory.redb").exists() {
        return Ok(Box::new(MemStore::new()));
    }
    let opened = match RedbStore::open(&dir) {
        // A daemon holds it: what it has written so far can be read.
        Err(StoreError::InUse { .. }) => RedbStore::copy(&dir),
        opened => opened,
    };
    match opened {
        Ok(store) => Ok(Box::new(store)),
        Err(error) => {
            // The stream's tag carries the part that a plan needs.
            tracing::warn!(%error, "going on without memory");
            Ok(Box::new(MemStore::new()))
        }
    }
}

/// `arn:aws:sts::123456789012:assumed-role/deployer/me` → `assumed-role/deployer/me`.
pub fn short_arn(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_shown_without_what_the_header_says_already() {
        assert_eq!(short_arn("arn:aws:sts::123456789012:assumed-role/deployer/me"), "assumed-role/deployer/me");
        assert_eq!(short_arn("arn:aws:iam::123456789012:root"), "root");
        assert_eq!(short_arn("odd"), "odd");
    }
}
