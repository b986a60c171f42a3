//! The daemon as a service manager or a container runs it: as a user without rights, with one directory to write to,
//! stopped by SIGTERM and started again.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// The image's user.
const NOBODY: u32 = 65532;

/// A root of which only `state` may be written.
struct Image {
    root: TempDir,
    root_user: bool,
}

impl Image {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::copy(env!("CARGO_BIN_EXE_alleycat-operator"), path("alleycat-operator")).unwrap();
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/alleycat.yaml"), path("pipeline.yaml")).unwrap();
        fs::create_dir(path("state")).unwrap();
        // A new file belongs to who made it.
        let root_user = fs::metadata(path("state")).unwrap().uid() == 0;
        if root_user {
            chown(path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
        } else {
            let _ = writeln!(std::io::stderr(), "NOT RUN: the daemon as another user: only root can become one");
        }
        for (name, mode) in [("pipeline.yaml", 0o444), ("alleycat-operator", 0o555), ("", 0o555)] {
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        Self { root, root_user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, verb: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(self.path("alleycat-operator"));
        command
            .arg(verb)
            .arg(self.path("pipeline.yaml"))
            .arg("--local")
            .args(flags)
            .env_clear()
            .env("ALLEYCAT_STATE_DIR", self.path("state"))
            .current_dir(self.path("state"))
            .stdin(Stdio::null());
        if self.root_user {
            // Drops the supplementary groups too.
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run(&self, verb: &str, flags: &[&str]) -> Output {
        let output = self.command(verb, flags).output().unwrap();
        assert!(output.status.success(), "{verb}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Starts the daemon, lets it make some passes, stops it with SIGTERM; gives the passes.
    fn serve(&self, passes: usize) -> Vec<Value> {
        let (out, err) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let read = |file: &tempfile::NamedTempFile| fs::read_to_string(file.path()).unwrap();
        let mut daemon = self
            .command("daemon", &["--speed", "60", "--output", "json"])
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .spawn()
            .unwrap();
        let ready = poll(|| (read(&out).lines().count() >= passes).then_some(()));
        if ready.is_none() || daemon.try_wait().unwrap().is_some() {
            let _ = daemon.kill();
            panic!("the daemon made no {passes} passes: {:?}\n{}", daemon.wait(), read(&err));
        }
        terminate(&daemon);
        let Some(status) = poll(|| daemon.try_wait().unwrap()) else {
            let _ = daemon.kill();
            panic!("the daemon did not stop\n{}", read(&err));
        };
        assert_eq!(status.code(), Some(0), "{}", read(&err));
        assert!(read(&err).contains("stopped after"), "{}", read(&err));
        read(&out).lines().map(|line| serde_json::from_str(line).expect("whole lines, also the last")).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // So that who is not root can remove it.
        let _ = fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o755));
    }
}

/// Asks every 50 ms for at most a minute.
#[expect(clippy::disallowed_methods, reason = "another process lives in real time")]
fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..1_200 {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

fn terminate(child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

fn time_of(pass: &Value) -> jiff::Timestamp {
    pass["at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_daemon_without_rights_stops_on_sigterm_and_goes_on_after_a_restart() {
    let image = Image::new();
    image.run("apply", &["-y"]);

    let first = image.serve(2);
    assert!(first.iter().all(|pass| pass["failure"].is_null() && pass["problems"] == serde_json::json!([])));
    let second = image.serve(1);
    // The twin's time stood still between the two, and what exists is still there.
    let (stopped, started) = (time_of(first.last().unwrap()), time_of(&second[0]));
    assert!(started >= stopped && started.duration_since(stopped) < jiff::SignedDuration::from_mins(5));
    assert_eq!(second[0]["problems"], serde_json::json!([]), "stream, table and mappings are there");

    let written: Vec<_> = fs::read_dir(image.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written.len(), 3, "only the state directory was written to: {written:?}");
    assert!(image.path("state/twin").is_dir());
}
