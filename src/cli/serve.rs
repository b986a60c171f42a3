//! `local`: the simulated AWS on a socket, for any AWS client, in real time or faster.
//!
//! What always holds: it listens beyond this machine only when told so twice; with `--state` one process owns the
//! file. It is written before a call is answered that changes a resource, and within a second after one that writes
//! records, items or metrics. A stop by SIGTERM or Ctrl-C is the normal end.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use tokio::net::TcpListener;

use super::{
    console::Console,
    daemon::speed,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    local::{DEFAULT_SEED, SERVED_AT, load_world, lock, save},
    signals::{End, stoppable},
    source::Source,
};
use crate::{
    aws::Clock,
    twin::{Effect, Host, Twin, World, serve},
};

/// Real time between two writes of an account in which only data has changed: the whole of it is written.
const DATA_WRITES: Duration = Duration::from_secs(1);

/// Serve the simulated AWS to any AWS client.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Listen beyond this machine too. The twin checks no credentials.
    #[arg(long)]
    allow_remote: bool,
    /// Virtual seconds a second.
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// What surrounds the pipeline, and when it begins. Without it: an empty account, now.
    #[arg(long, value_name = "WORLD.yaml")]
    world: Option<PathBuf>,
    /// Keep the account in this file; a file that exists is gone on with. Without it nothing is kept.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(globals: &Globals, console: &Console, args: &LocalArgs) -> Result<Exit, CliError> {
    if globals.local.is_some() {
        return Err(CliError::new(Exit::Usage, "`local` serves the simulated AWS: --local has no meaning there"));
    }
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return Err(CliError::new(
            Exit::Usage,
            format!("{} can be reached from other machines, and the twin checks no credentials", args.listen),
        )
        .hint("listen on 127.0.0.1, or pass --allow-remote"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(Exit::Failed, format!("cannot start the runtime: {error}")))?;
    runtime.block_on(listen(globals, console, args))
}

async fn listen(globals: &Globals, console: &Console, args: &LocalArgs) -> Result<Exit, CliError> {
    let cannot = |error: io::Error| {
        CliError::new(Exit::Unavailable, format!("cannot listen on {}: {error}", args.listen))
            .hint("choose another port with --listen, or 127.0.0.1:0 for a free one")
    };
    let listener = TcpListener::bind(args.listen).await.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    let _lock = args.state.as_deref().map(|state| lock(state, &format!("{SERVED_AT}{url}"))).transpose()?;
    let twin = open(globals, console, args)?;
    let clock = Clock::simulated(twin.now(), args.speed);
    let unwritten = Arc::new(AtomicBool::new(false));
    let host = Host::new(twin, clock.clone());
    let host = match args.state.clone() {
        None => host,
        Some(state) => keep(host, state, unwritten.clone()),
    };
    console.note(&format!(
        "simulated AWS on {url}, {} x real time, from {}\n  export AWS_ENDPOINT_URL={url}\n  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_REGION={}",
        args.speed,
        clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        host.with(|twin| twin.world().region.clone()),
    ));
    let keeping = async {
        match &args.state {
            Some(state) => keep_data(console, &host, state, &unwritten).await,
            None => std::future::pending().await,
        }
    };
    let serving = |flag| {
        let serving = serve::serve(host.clone(), listener, flag);
        async {
            tokio::select! {
                biased;
                () = keeping => {}
                () = serving => {}
            }
        }
    };
    let end = stoppable(console, serving).await;
    if let Some(state) = &args.state {
        host.with(|twin| save(state, twin)).map_err(|error| write_error(state, &error))?;
    }
    match end {
        End::Finished(..) => Ok(Exit::Ok),
        End::Aborted(signal) => Err(CliError::new(signal.exit(), "aborted; answers may be missing")),
    }
}

/// Writes the account down at each change of a resource; data only marks it.
fn keep(host: Host, state: PathBuf, unwritten: Arc<AtomicBool>) -> Host {
    host.on_mutation(move |twin, effect| {
        if effect == Effect::Data {
            unwritten.store(true, Ordering::Relaxed);
            return Ok(());
        }
        save(&state, twin).map_err(|error| error.to_string())
    })
}

/// Writes the account down once a second when data was written; never ends.
async fn keep_data(console: &Console, host: &Host, state: &Path, unwritten: &AtomicBool) {
    loop {
        tokio::time::sleep(DATA_WRITES).await;
        if !unwritten.swap(false, Ordering::Relaxed) {
            continue;
        }
        if let Err(error) = host.with(|twin| save(state, twin)) {
            unwritten.store(true, Ordering::Relaxed);
            console.note(&format!("cannot write the account to {}: {error}", state.display()));
        }
    }
}

/// The stored account, or a new one.
fn open(globals: &Globals, console: &Console, args: &LocalArgs) -> Result<Twin, CliError> {
    if let Some(state) = &args.state {
        match fs::read(state) {
            Ok(bytes) => {
                if args.world.is_some() || globals.seed.is_some() {
                    console.note("note: --world and --seed have no effect: the state exists already");
                }
                let mut twin = Twin::from_bytes(&bytes).map_err(|error| {
                    CliError::new(Exit::Failed, format!("the state in {} cannot be read: {error}", state.display()))
                        .hint("remove the file to start over with an empty account")
                })?;
                // An account without a world lives in the present.
                if twin.world().name == EMPTY {
                    twin.advance(Clock::system().now());
                }
                return Ok(twin);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CliError::file(Exit::Failed, "read", state, &error)),
        }
    }
    let twin = Twin::new(world(globals, console, args)?, globals.seed.unwrap_or(DEFAULT_SEED));
    if let Some(state) = &args.state {
        save(state, &twin).map_err(|error| write_error(state, &error))?;
    }
    Ok(twin)
}

/// Name of the world that is none.
const EMPTY: &str = "empty-account";

fn world(globals: &Globals, console: &Console, args: &LocalArgs) -> Result<World, CliError> {
    let source = if let Some(path) = &args.world {
        Source::read(path)?
    } else {
        let region = globals.region.as_deref().unwrap_or("us-east-1");
        let start = Clock::system().now().strftime("%Y-%m-%dT%H:%M:%SZ");
        // An answer takes as long as it takes: no time is added.
        let text = format!(
            "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: {EMPTY}\nregion: {region}\nstart: \"{start}\"\n\
             timings: {{apiLatencyMs: 0}}\n"
        );
        Source { name: "--region".to_owned(), text }
    };
    load_world(&source, console)
}

fn write_error(state: &Path, error: &io::Error) -> CliError {
    CliError::file(Exit::Failed, "write the account to", state, error)
}
