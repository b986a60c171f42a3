//! `--local`: the twin's state on disk, under an exclusive lock.
//!
//! What always holds: one process at a time owns a twin; the file on disk is whole at any moment (a new
//! one is written beside it, synced and renamed); it is written before a mutating call is answered.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{
    console::Console,
    errors::CliError,
    exit::Exit,
    globals::Globals,
    source::{self, Source},
};
use crate::{
    aws::Clock,
    twin::{Host, Twin, World},
};

/// Seed of a twin's noise when none is asked for.
pub const DEFAULT_SEED: u64 = 1;

/// A twin this process owns.
pub struct Local {
    /// Where it is kept; `None` when nothing is.
    dir: Option<PathBuf>,
    /// Held for as long as the twin is open.
    lock: Option<File>,
    /// The twin until it is hosted.
    twin: Twin,
    /// What the world is called, for the header line.
    pub world: String,
}

/// A hosted twin.
pub struct Hosted {
    /// The twin behind an HTTP client.
    pub host: Host,
    clock: Clock,
    dir: Option<PathBuf>,
    _lock: Option<File>,
    /// What the world is called.
    pub world: String,
}

impl Local {
    /// Opens the twin that `globals` name: the stored one, or a new one.
    pub fn open(globals: &Globals, console: &Console) -> Result<Self, CliError> {
        let world = globals.local.clone().flatten();
        let source = world.as_deref().map(Source::read).transpose()?;
        let name = world.as_deref().map_or_else(|| "alleycat".to_owned(), world_name);
        let Some(state) = globals.state_dir()? else {
            let twin = new_twin(source.as_ref(), globals.seed, console)?;
            return Ok(Self { dir: None, lock: None, twin, world: name });
        };
        let dir = state.join("twin").join(&name);
        fs::create_dir_all(&dir).map_err(|error| {
            CliError::file(Exit::Failed, "create", &dir, &error).hint("choose another directory with --state-dir")
        })?;
        let lock = lock(&dir.join("state"), "")?;
        same_world(&dir, source.as_ref())?;
        let twin = match fs::read(dir.join("state")) {
            Ok(bytes) => {
                if globals.seed.is_some() {
                    console.note("note: --seed has no effect: the twin's state exists already");
                }
                Twin::from_bytes(&bytes).map_err(|error| {
                    CliError::new(
                        Exit::Failed,
                        format!("the twin's state in {} cannot be read: {error}", dir.display()),
                    )
                    .hint(format!("start over with a new one: rm -r {}", dir.display()))
                })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let twin = new_twin(source.as_ref(), globals.seed, console)?;
                if let Some(source) = &source {
                    write_whole(&dir.join("world.yaml"), source.text.as_bytes())
                        .map_err(|error| write_error(&dir, &error))?;
                }
                twin
            }
            Err(error) => return Err(CliError::file(Exit::Failed, "read", &dir.join("state"), &error)),
        };
        Ok(Self { dir: Some(dir), lock: Some(lock), twin, world: name })
    }

    /// Puts the twin on a clock that starts where its own stopped. To be called inside the runtime.
    pub fn host(self, speed: f64) -> Hosted {
        let clock = Clock::simulated(self.twin.now(), speed);
        let host = Host::new(self.twin, clock.clone());
        let host = match self.dir.clone() {
            None => host,
            Some(dir) => {
                let save = move |twin: &Twin, _| save(&dir.join("state"), twin).map_err(|error| error.to_string());
                host.on_mutation(save)
            }
        };
        Hosted { host, clock, dir: self.dir, _lock: self.lock, world: self.world }
    }
}

impl Hosted {
    /// The clock of the twin.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The region of the world, for who names none.
    pub fn region(&self) -> String {
        self.host.with(|twin| twin.world().region.clone())
    }

    /// Where memory of this twin belongs.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Brings the twin to the present and writes it down; time stands still from here on.
    pub fn close(&self) -> Result<(), CliError> {
        let now = self.clock.now();
        self.host.with(|twin| {
            twin.advance(now);
            match &self.dir {
                Some(dir) => save(&dir.join("state"), twin).map_err(|error| write_error(dir, &error)),
                None => Ok(()),
            }
        })
    }
}

fn new_twin(source: Option<&Source>, seed: Option<u64>, console: &Console) -> Result<Twin, CliError> {
    let world = match source {
        None => World::alleycat(),
        Some(source) => load_world(source, console)?,
    };
    Ok(Twin::new(world, seed.unwrap_or(DEFAULT_SEED)))
}

/// Reads a world file and the files that it names.
pub(super) fn load_world(source: &Source, console: &Console) -> Result<World, CliError> {
    let beside = |file: &str| {
        let path = Path::new(&source.name).parent().unwrap_or(Path::new("")).join(file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    World::load(&source.text, beside).map_err(|problems| source::invalid(source, problems, console))
}

/// A world file's name without what a directory name should not hold.
fn world_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    if name.is_empty() { "world".to_owned() } else { name }
}

/// A stored twin belongs to the world it was made from: another world under its name is refused.
fn same_world(dir: &Path, source: Option<&Source>) -> Result<(), CliError> {
    if !dir.join("state").exists() {
        return Ok(());
    }
    let stored = fs::read_to_string(dir.join("world.yaml")).ok();
    if stored.as_deref() == source.map(|source| source.text.as_str()) {
        return Ok(());
    }
    Err(CliError::new(Exit::Blocked, format!("the twin in {} was made from another world", dir.display()))
        .hint(format!("start over with this world: rm -r {}", dir.display()))
        .hint("or keep both: choose another directory with --state-dir"))
}

/// Takes the lock of a state file (its name with `.lock`), or names who holds it; `remark` is what others are told of
/// this process.
pub(super) fn lock(state: &Path, remark: &str) -> Result<File, CliError> {
    let mut path = state.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let error = |error: &io::Error| CliError::file(Exit::Failed, "open", &path, error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| error(&e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&file).take(4096).read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
            let error = CliError::new(Exit::Unavailable, format!("this twin is in use by {holder}"))
                .detail(format!("lock: {}", path.display()));
            return Err(match holder.rsplit_once(SERVED_AT).filter(|(_, url)| url.starts_with("http")) {
                Some((_, url)) => error.hint(format!("talk to it instead: --endpoint-url {url} in place of --local")),
                None => error.hint("wait until it ends, or use another twin with --state-dir"),
            });
        }
        Err(TryLockError::Error(e)) => return Err(error(&e)),
    }
    file.set_len(0).and_then(|()| file.write_all((holder() + remark).as_bytes())).map_err(|e| error(&e))?;
    Ok(file)
}

/// Stands before the address in the lock of a served twin.
pub(super) const SERVED_AT: &str = " at ";

/// This process as another one should name it.
fn holder() -> String {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    format!("process {} (alleycat-operator {})", std::process::id(), arguments.join(" "))
}

pub(super) fn save(state: &Path, twin: &Twin) -> io::Result<()> {
    write_whole(state, &twin.to_bytes().map_err(io::Error::other)?)
}

/// Writes a file so that a reader finds the old one or the new one, also after a power cut.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn write_error(dir: &Path, error: &io::Error) -> CliError {
    CliError::file(Exit::Failed, "write the twin's state to", dir, error)
        .hint("choose another directory with --state-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_the_twin() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let held = lock(&state, "").unwrap();
        let error = lock(&state, "").unwrap_err();
        assert_eq!(error.exit, Exit::Unavailable);
        assert!(error.what.contains(&format!("process {}", std::process::id())), "{}", error.what);
        drop(held);
        lock(&state, "").unwrap();
    }

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_whole(&path, b"a longer first state").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_world_file_cannot_point_outside_the_state_directory() {
        assert_eq!(world_name(Path::new("../../etc/my world.yaml")), "my-world");
        assert_eq!(world_name(Path::new("..")), "world");
    }
}
