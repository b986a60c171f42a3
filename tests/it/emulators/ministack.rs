//! Starts ministack on a free loopback port, stops it when dropped, and hands out the SDK's own clients for
//! seeding and for looking.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_cloudwatch as cloudwatch;
use aws_sdk_dynamodb as dynamodb;
use aws_sdk_kinesis as kinesis;
use aws_sdk_lambda as lambda;

/// The region of everything in the wire check.
pub const REGION: &str = "us-east-1";

/// A running emulator with nothing in it.
pub struct Ministack {
    child: Child,
    home: tempfile::TempDir,
    endpoint: String,
}

/// How a run of the operator ended.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The emulator's program, as `scripts/test` exports it or `scripts/emulators` installed it.
fn program() -> Option<PathBuf> {
    let installed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/emulators/bin/ministack");
    let path = std::env::var_os("ALLEYCAT_MINISTACK").map_or_else(installed, PathBuf::from);
    path.is_file().then_some(path)
}

impl Ministack {
    /// Starts it. `None`, said aloud, when it is not installed: then `check` did not run. In CI that is a failure.
    pub async fn start(check: &str) -> Option<Self> {
        let Some(program) = program() else {
            let ci =
                ["CI", "ALLEYCAT_CI"].iter().any(|name| std::env::var(name).is_ok_and(|v| v == "true" || v == "1"));
            assert!(!ci, "{check}: ministack is not installed and this is CI; run ./scripts/test");
            // Straight to the process's stderr: the test runner keeps `eprintln!` of passing tests to itself.
            let _ =
                writeln!(std::io::stderr(), "NOT RUN: {check}: ministack is not installed, run ./scripts/emulators");
            return None;
        };
        for _ in 0..3 {
            if let Some(running) = Self::try_start(&program).await {
                return Some(running);
            }
        }
        panic!("ministack did not become healthy on three ports");
    }

    async fn try_start(program: &PathBuf) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let log = std::fs::File::create(home.path().join("ministack.log")).expect("a log file");
        let child = Command::new(program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("LAMBDA_EXECUTOR", "local")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("ministack can be started");
        let mut running = Self { child, home, endpoint: format!("http://127.0.0.1:{port}") };
        for _ in 0..300 {
            if is_healthy(port) {
                return Some(running);
            }
            if running.child.try_wait().expect("the child can be asked").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(running.home.path().join("ministack.log")).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "ministack on port {port} did not answer:\n{log}");
        None
    }

    /// Runs the built operator against this emulator, with nothing of this machine's AWS settings.
    pub async fn operator(&self, arguments: &[&str]) -> Run {
        let file = |name: &str| std::fs::File::create(self.home.path().join(name)).expect("a file for output");
        let mut child = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("ALLEYCAT_STATE_DIR", self.home.path().join("state"))
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the operator can be started");
        let status = wait(&mut child).await;
        let read = |name: &str| std::fs::read_to_string(self.home.path().join(name)).expect("output is UTF-8");
        let Some(status) = status else {
            panic!("{arguments:?} did not end in two minutes\n{}\n{}", read("stdout"), read("stderr"));
        };
        Run { code: status.code().unwrap_or(-1), stdout: read("stdout"), stderr: read("stderr") }
    }

    /// Writes a spec beside the state and returns its path.
    pub fn spec(&self, source: &str) -> String {
        let path = self.home.path().join("pipeline.yaml");
        std::fs::write(&path, source).expect("the spec can be written");
        path.to_string_lossy().into_owned()
    }

    pub fn kinesis(&self) -> kinesis::Client {
        let config = kinesis::Config::builder()
            .behavior_version_latest()
            .region(kinesis::config::Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(credentials())
            .build();
        kinesis::Client::from_conf(config)
    }

    pub fn lambda(&self) -> lambda::Client {
        let config = lambda::Config::builder()
            .behavior_version_latest()
            .region(lambda::config::Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(credentials())
            .build();
        lambda::Client::from_conf(config)
    }

    pub fn dynamodb(&self) -> dynamodb::Client {
        let config = dynamodb::Config::builder()
            .behavior_version_latest()
            .region(dynamodb::config::Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(credentials())
            .build();
        dynamodb::Client::from_conf(config)
    }

    pub fn cloudwatch(&self) -> cloudwatch::Client {
        let config = cloudwatch::Config::builder()
            .behavior_version_latest()
            .region(cloudwatch::config::Region::new(REGION))
            .endpoint_url(&self.endpoint)
            .credentials_provider(credentials())
            .build();
        cloudwatch::Client::from_conf(config)
    }

    /// Creates a function that does nothing. Its archive is empty: no record is ever sent, so nothing runs it.
    pub async fn create_function(&self, name: &str) {
        use lambda::{primitives::Blob, types};
        let mut archive = b"PK\x05\x06".to_vec();
        archive.resize(22, 0);
        self.lambda()
            .create_function()
            .function_name(name)
            .runtime(types::Runtime::Python311)
            .role("arn:aws:iam::000000000000:role/wire")
            .handler("index.handler")
            .timeout(15)
            .memory_size(256)
            .code(types::FunctionCode::builder().zip_file(Blob::new(archive)).build())
            .send()
            .await
            .expect("the function is created");
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits two minutes at most, then kills.
async fn wait(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..2_400 {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return Some(status);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn credentials() -> Credentials {
    Credentials::new("test", "test", None, None, "wire check")
}
