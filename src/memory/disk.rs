//! [`RedbStore`]: the store on disk, one redb file per state directory.
//!
//! What always holds: each write is one transaction that is on the disk when the method returns (redb's default
//! durability); one process at a time, guarded by a lock file; a file that is damaged, newer or unreadable is refused
//! and left as it is. Values are JSON, so an incident can be read with any redb viewer.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use redb::{
    Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError, backends::InMemoryBackend,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Decision, Intent, IntentState, KEPT_DECISIONS, KEPT_INPUTS, KEPT_INTENTS, Memory, Store, StoreError};
use crate::plan::Step;

/// Layout of the file: tables, keys and the JSON of intents and decisions. A memory record has its own version.
const LAYOUT: u64 = 1;
/// Page cache: the content is a few MB at most; redb's own default would allow 1 GiB.
const CACHE_BYTES: usize = 8 << 20;

/// Tries at a copy: a commit takes some milliseconds, and one comes a minute.
const COPIES: usize = 5;

const FILE: &str = "memory.redb";
const LOCK_FILE: &str = "memory.redb.lock";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const MEMORY: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("memory");
const INTENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("intents");
const DECISIONS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("decisions");
/// Not in a store that an older version made, until something is written to it.
const INPUTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("inputs");

/// A store in a state directory. Dropping it releases the directory.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    /// `None` after a failed write: redb wants the file reopened then, which the next call does.
    database: Mutex<Option<Database>>,
    /// Held as long as the store is; `None`: it is a copy in memory of what another process holds.
    lock: Option<File>,
}

impl RedbStore {
    /// Opens `memory.redb` in `dir`, and creates both (readable by the user only) when they are not there.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        create_dir(dir).map_err(|error| failed(dir, "create", &error))?;
        let path = dir.join(FILE);
        let lock = lock(&dir.join(LOCK_FILE), &path)?;
        if !path.try_exists().map_err(|error| failed(&path, "open", &error))? {
            create(dir, &path)?;
        }
        let database = open_existing(&path)?;
        Ok(Self { path, database: Mutex::new(Some(database)), lock: Some(lock) })
    }

    /// A copy in memory of the store in `dir` as it is now, to read while another process holds it. Each commit leaves
    /// a whole store on the disk; a copy that was torn by one in between is found out by its checksums and made anew.
    pub fn copy(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let attempt = || -> Result<Database, redb::Error> {
            let bytes = fs::read(&path)?;
            let memory = InMemoryBackend::new();
            memory.set_len(bytes.len() as u64)?;
            memory.write(0, &bytes)?;
            Ok(builder().create_with_backend(memory)?)
        };
        let mut opened = attempt();
        for _ in 1..COPIES {
            if opened.is_err() {
                opened = attempt();
            }
        }
        let database = opened.map_err(|error| translate(&path, "read", &error))?;
        Ok(Self { path, database: Mutex::new(Some(database)), lock: None })
    }

    /// Runs `work` on the open database; after a failure of the disk the file is reopened the next time.
    fn with<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        if self.lock.is_none() && what == "write" {
            return Err(failed(&self.path, what, &"it is a copy of what another process holds"));
        }
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => open_existing(&self.path)?,
        };
        match work(&database) {
            Ok(value) => {
                *slot = Some(database);
                Ok(value)
            }
            Err(error) => Err(translate(&self.path, what, &error)),
        }
    }

    fn append<T: Serialize + DeserializeOwned>(
        &self,
        table: TableDefinition<'static, (&'static str, u64), &'static [u8]>,
        pipeline: &str,
        keep: u64,
        item: impl FnOnce(u64) -> T,
    ) -> Result<u64, StoreError> {
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            let id;
            {
                let mut table = transaction.open_table(table)?;
                let last = table.range(all(pipeline))?.next_back().transpose()?.map_or(0, |(key, _)| key.value().1);
                id = last + 1;
                table.insert((pipeline, id), json(&item(id))?.as_slice())?;
                // Numbers are consecutive, so dropping one for each that is added keeps `keep` of them.
                if id > keep {
                    table.remove((pipeline, id - keep))?;
                }
            }
            transaction.commit()?;
            Ok(id)
        })
    }

    fn newest<T: DeserializeOwned>(
        &self,
        table: TableDefinition<'static, (&'static str, u64), &'static [u8]>,
        pipeline: &str,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let texts = self.with("read", |database| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(table)?;
            let mut texts = Vec::new();
            for entry in table.range(all(pipeline))?.rev().take(limit) {
                texts.push(entry?.1.value().to_vec());
            }
            Ok(texts)
        })?;
        texts.iter().rev().map(|text| self.parse(text)).collect()
    }

    fn parse<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(text).map_err(|error| damaged(&self.path, &error))
    }
}

impl Store for RedbStore {
    fn load(&self, pipeline: &str) -> Result<Option<Memory>, StoreError> {
        let text = self.with("read", |database| {
            let table = database.begin_read()?.open_table(MEMORY)?;
            Ok(table.get(pipeline)?.map(|value| value.value().to_vec()))
        })?;
        let Some(text) = text else { return Ok(None) };
        let head: Head = self.parse(&text)?;
        if head.version > Memory::VERSION {
            let (found, supported) = (u64::from(head.version), u64::from(Memory::VERSION));
            return Err(StoreError::Newer { path: self.path.clone(), found, supported });
        }
        self.parse(&text).map(Some)
    }

    fn save(&self, pipeline: &str, memory: &Memory) -> Result<(), StoreError> {
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            transaction.open_table(MEMORY)?.insert(pipeline, json(memory)?.as_slice())?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn intend(&self, pipeline: &str, at: Timestamp, step: &Step) -> Result<u64, StoreError> {
        let step = step.clone();
        self.append(INTENTS, pipeline, KEPT_INTENTS, |id| Intent { id, at, step, state: IntentState::Pending })
    }

    fn resolve(&self, pipeline: &str, id: u64, state: IntentState) -> Result<(), StoreError> {
        let old = self.with("read", |database| {
            let table = database.begin_read()?.open_table(INTENTS)?;
            Ok(table.get((pipeline, id))?.map(|value| value.value().to_vec()))
        })?;
        let Some(old) = old else { return Ok(()) };
        let mut intent: Intent = self.parse(&old)?;
        intent.state = state;
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            transaction.open_table(INTENTS)?.insert((pipeline, id), json(&intent)?.as_slice())?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn intents(&self, pipeline: &str) -> Result<Vec<Intent>, StoreError> {
        self.newest(INTENTS, pipeline, KEPT_INTENTS as usize)
    }

    fn record(&self, pipeline: &str, mut decision: Decision) -> Result<u64, StoreError> {
        self.append(DECISIONS, pipeline, KEPT_DECISIONS, |id| {
            decision.id = id;
            decision
        })
    }

    fn decisions(&self, pipeline: &str, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.newest(DECISIONS, pipeline, limit)
    }

    fn amend(&self, pipeline: &str, decision: &Decision) -> Result<(), StoreError> {
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(DECISIONS)?;
                let is_there = table.get((pipeline, decision.id))?.is_some();
                if is_there {
                    table.insert((pipeline, decision.id), json(decision)?.as_slice())?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    fn keep_inputs(&self, pipeline: &str, id: u64, packet: &[u8]) -> Result<(), StoreError> {
        self.with("write", |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(INPUTS)?;
                table.insert((pipeline, id), packet)?;
                table.retain_in((pipeline, 0)..=(pipeline, id.saturating_sub(KEPT_INPUTS)), |_, _| false)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }

    fn inputs(&self, pipeline: &str, id: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.with("read", |database| {
            let table = match database.begin_read()?.open_table(INPUTS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get((pipeline, id))?.map(|value| value.value().to_vec()))
        })
    }
}

/// The part of a memory record that every version shares.
#[derive(serde::Deserialize)]
struct Head {
    version: u32,
}

/// All keys of one pipeline in a table.
fn all(pipeline: &str) -> RangeInclusive<(&str, u64)> {
    (pipeline, 0)..=(pipeline, u64::MAX)
}

/// The JSON of a record, refused unless it can be read back: JSON has no NaN or infinity, and a record that cannot be
/// read would stop the next start instead of this write.
fn json<T: Serialize + DeserializeOwned>(value: &T) -> Result<Vec<u8>, redb::Error> {
    let refuse = |error| redb::Error::Io(io::Error::other(format!("a record would not be readable again: {error}")));
    let text = serde_json::to_vec(value).map_err(refuse)?;
    serde_json::from_slice::<T>(&text).map_err(refuse)?;
    Ok(text)
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// A file that is created, when it is, for the user alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.read(true).write(true).create(true).truncate(false)
}

/// Takes the lock of the directory and writes our process id into it. The kernel frees it when we end, however we end.
fn lock(lock_path: &Path, path: &Path) -> Result<File, StoreError> {
    let mut file =
        private(&mut OpenOptions::new()).open(lock_path).map_err(|error| failed(lock_path, "open", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: who holds it may just be writing its name.
            let read = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if read { holder.trim().to_owned() } else { "unknown process".to_owned() };
            return Err(StoreError::InUse { path: path.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(failed(lock_path, "lock", &error)),
    }
    let holder = format!("process {}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(|error| failed(lock_path, "write", &error))?;
    Ok(file)
}

/// Makes a new store under another name and renames it into place: a file under the real name is always complete, so
/// an empty one was truncated by somebody and is not taken for a new one.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let draft = dir.join("memory.redb.new");
    let attempt = || -> Result<(), redb::Error> {
        private(&mut OpenOptions::new()).open(&draft)?.set_len(0)?;
        let database = Database::create(&draft)?;
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("layout", LAYOUT)?;
        transaction.open_table(MEMORY)?;
        transaction.open_table(INTENTS)?;
        transaction.open_table(DECISIONS)?;
        transaction.commit()?;
        drop(database);
        fs::rename(&draft, path)?;
        File::open(dir)?.sync_all()?;
        Ok(())
    };
    attempt().map_err(|error| translate(path, "create", &error))
}

/// Opens a store that must exist, after verifying every page of it: a damaged file would otherwise surface as a panic
/// inside redb, at the worst moment.
fn open_existing(path: &Path) -> Result<Database, StoreError> {
    let fail = |error: redb::Error| translate(path, "open", &error);
    let length = fs::metadata(path).map_err(|error| failed(path, "open", &error))?.len();
    if length == 0 {
        return Err(damaged(path, &"it is empty"));
    }
    let database = builder().open(path).map_err(|error| fail(error.into()))?;
    let read_layout = || -> Result<Option<u64>, redb::Error> {
        let table = database.begin_read()?.open_table(META)?;
        Ok(table.get("layout")?.map(|value| value.value()))
    };
    match read_layout().map_err(fail)? {
        Some(LAYOUT) => Ok(database),
        Some(found) if found > LAYOUT => Err(StoreError::Newer { path: path.to_owned(), found, supported: LAYOUT }),
        _ => Err(damaged(path, &"no known layout version in it")),
    }
}

/// How a store is opened: every page is verified.
fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn failed(path: &Path, what: &'static str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Io { path: path.to_owned(), what, detail: error.to_string() }
}

fn damaged(path: &Path, detail: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.to_string() }
}

fn translate(path: &Path, what: &'static str, error: &redb::Error) -> StoreError {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            StoreError::InUse { path: path.to_owned(), holder: "unknown process".to_owned() }
        }
        // redb reports a file that is not its own, or too short, as an I/O error of these kinds.
        redb::Error::Io(cause) if matches!(cause.kind(), InvalidData | UnexpectedEof) => damaged(path, error),
        redb::Error::Io(_) | redb::Error::PreviousIo => failed(path, what, error),
        _ => damaged(path, error),
    }
}
