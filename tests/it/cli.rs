//! The command line as a person meets it: the built binary, run in an empty environment.
//!
//! Each story asserts what must hold (exit code, what is said, what is left behind) and keeps the whole
//! output as a golden; `cargo insta review` shows what changed.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/alleycat.yaml");

/// An empty home, an empty state directory, and specs made from the example.
pub struct Bench {
    dir: TempDir,
}

/// What one run showed.
pub struct Shown {
    line: String,
    code: i32,
    pub stdout: String,
    stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let bench = Self { dir };
        if let Ok(text) = fs::read_to_string(EXAMPLE) {
            bench.write("spec.yaml", &text);
        }
        bench
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The example with something replaced; what is replaced must be there.
    fn variant(&self, name: &str, replace: &[(&str, &str)]) {
        let mut text = example();
        for (from, to) in replace {
            assert!(text.contains(from), "the example no longer says {from:?}");
            text = text.replace(from, to);
        }
        self.write(name, &text);
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alleycat-operator"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path().join("home"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("ALLEYCAT_STATE_DIR", self.path().join("state"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &str) -> Shown {
        Shown::of(line, self.command(line).output().unwrap())
    }

    /// Runs with credentials that are good for nothing, so that only the endpoint decides.
    fn run_with_keys(&self, line: &str) -> Shown {
        let mut command = self.command(line);
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "example");
        Shown::of(line, command.output().unwrap())
    }

    fn run_with_stdin(&self, line: &str, stdin: &str) -> Shown {
        let mut child =
            self.command(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Shown::of(line, child.wait_with_output().unwrap())
    }

    /// Golden comparison; places and moments that differ from run to run are named instead.
    pub fn golden(&self, name: &str, shown: &[&Shown]) {
        let text: String = shown.iter().map(|shown| shown.text()).collect();
        let root = self.path().display().to_string();
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&regex_escape(&root), "[DIR]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[TIME]");
        settings.add_filter(r"\b\d\d:\d\d:\d\dZ", "[TIME]");
        settings.add_filter(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[UUID]");
        settings.add_filter(r"process \d+", "process [PID]");
        settings.add_filter(r"spec [0-9a-f]{12}, policy [0-9a-f]{12}, version \S+", "[RULES]");
        settings.set_prepend_module_to_snapshot(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

impl Shown {
    fn of(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn text(&self) -> String {
        let Self { line, code, stdout, stderr } = self;
        format!("$ alleycat-operator {line}\nexit {code}\n-- stdout\n{stdout}-- stderr\n{stderr}\n")
    }

    /// Asserts the exit code, with the whole output in the message.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n{}", self.text());
        self
    }

    /// Asserts that stderr says all of these.
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said in\n{}", self.text());
        }
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.text()))
    }

    fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn example() -> String {
    fs::read_to_string(EXAMPLE).unwrap()
}

fn regex_escape(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['\\', c] }).collect()
}

#[test]
fn usage_errors_are_64_and_help_is_0() {
    let bench = Bench::new();
    bench.run("plan").exits(64);
    bench.run("frobnicate").exits(64);
    bench.run("").exits(64);
    bench.run("plan spec.yaml --local --profile me").exits(64).says(&["--local"]);
    bench.run("daemon spec.yaml --speed 60").exits(64).says(&["--local"]);
    bench.run("apply spec.yaml --timeout 0s").exits(64);
    let help = bench.run("--help").exits(0);
    assert!(help.stdout.contains("validate") && help.stderr.is_empty());
    bench.run("version").exits(0);
    assert_eq!(bench.run("version --output json").exits(0).json()["name"], "alleycat-operator");
}

#[test]
fn files_that_are_no_spec_are_65_and_say_why() {
    let bench = Bench::new();
    fs::write(bench.path().join("bytes.yaml"), b"\xff\xfe").unwrap();
    let missing = bench.run("plan none.yaml").exits(65).says(&["none.yaml", "no such file"]);
    let directory = bench.run("plan home").exits(65).says(&["directory"]);
    let bytes = bench.run("plan bytes.yaml").exits(65).says(&["UTF-8"]);
    bench.golden("no_spec", &[&missing, &directory, &bytes]);
}

#[test]
fn a_reader_that_closes_the_pipe_ends_it_quietly() {
    let bench = Bench::new();
    let mut child = bench.command("version").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_spec_is_answered_with_every_problem_and_its_place() {
    let bench = Bench::new();
    bench.variant(
        "wrong.yaml",
        &[("- name: leaderboard", "- nam: leaderboard"), ("management: full", "management: sometimes")],
    );
    let text = bench.run("validate wrong.yaml").exits(65);
    let plan = bench.run("plan wrong.yaml --local").exits(65);
    let json = bench.run("validate wrong.yaml --output json").exits(65);
    let problems = json.json();
    assert_eq!(problems["valid"], false);
    let problems = problems["problems"].as_array().unwrap();
    assert!(problems.len() >= 2, "{problems:?}");
    for problem in problems {
        assert!(problem["code"].as_str().unwrap().starts_with("AC01"), "{problem}");
        assert!(problem["line"].as_u64().unwrap() > 1, "{problem}");
    }
    assert!(!bench.path().join("state").exists(), "a wrong spec leaves nothing behind");
    bench.golden("wrong_spec", &[&text, &plan]);
}

#[test]
fn specs_come_from_stdin_and_files_may_hold_several() {
    let bench = Bench::new();
    bench.run_with_stdin("validate -", &example()).exits(0);
    let second = example().replace("metadata:\n  name: alleycat", "metadata:\n  name: second");
    bench.write("two.yaml", &format!("{}\n---\n{second}", example()));
    let both = bench.run("validate two.yaml --output json").exits(0).json();
    assert_eq!(both["pipelines"], serde_json::json!(["alleycat", "second"]));
    bench.run("plan two.yaml --local").exits(64).says(&["--pipeline", "alleycat, second"]);
    bench.run("plan two.yaml --local --pipeline alleycat").exits(0);
    bench.write("twins.yaml", &format!("{}\n---\n{}", example(), example()));
    bench.run("validate twins.yaml").exits(65).says(&["two pipelines"]);
}

#[test]
fn world_files_are_validated_beside_specs() {
    let bench = Bench::new();
    bench.write("world.yaml", include_str!("../../examples/worlds/hotKey.yaml"));
    let both = bench.run("validate spec.yaml world.yaml --output json").exits(0).json();
    assert_eq!(both["pipelines"], serde_json::json!(["alleycat"]));
    assert_eq!(both["worlds"], serde_json::json!(["hotKey"]));
    bench.write("wrong.yaml", &include_str!("../../examples/worlds/hotKey.yaml").replace("shards: 4", "shards: none"));
    bench.run("validate wrong.yaml").exits(65).says(&["wrong.yaml:", "shards"]);
    let problems = bench.run("validate wrong.yaml --output json").exits(65).json();
    assert_eq!(problems["problems"][0]["line"], 7);
}

#[test]
fn no_credentials_is_denied_and_says_what_to_do() {
    let bench = Bench::new();
    let shown = bench.run("plan spec.yaml --region us-east-2").exits(77).says(&["pointless", "hint:", "--local"]);
    let json = bench.run("plan spec.yaml --region us-east-2 --output json").exits(77);
    assert!(json.stdout.is_empty(), "stdout is for data");
    let error: Value = serde_json::from_str(json.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["exitName"], "DENIED");
    bench.golden("no_credentials", &[&shown]);
}

#[test]
fn an_unreachable_endpoint_is_worth_another_try() {
    let bench = Bench::new();
    let line = "plan spec.yaml --region us-east-2 --endpoint-url http://127.0.0.1:1";
    let shown = bench.run_with_keys(line).exits(69).says(&["127.0.0.1:1", "another try: may help"]);
    bench.golden("unreachable", &[&shown]);
}

#[test]
fn the_wrong_account_is_refused_before_anything_else() {
    let bench = Bench::new();
    bench
        .variant("wrong.yaml", &[("region: us-east-2", "region: us-east-2\n  expectedAccountIds: [\"999999999999\"]")]);
    let plan = bench.run("plan wrong.yaml --local").exits(5).says(&["wrong account", "999999999999"]);
    let apply = bench.run("apply wrong.yaml --local --yes").exits(5).says(&["wrong account"]);
    bench.golden("wrong_account", &[&plan, &apply]);
    bench.run("plan spec.yaml --local --detailed-exitcode").exits(2);
}

#[test]
fn a_missing_function_stops_apply_before_the_first_write() {
    let bench = Bench::new();
    bench.variant("missing.yaml", &[("alleycat-TumblingWindowFunction", "alleycat-NoSuchFunction")]);
    let plan = bench.run("plan missing.yaml --local").exits(5).says(&["mapping/leaderboard (AC0301)"]);
    let apply = bench.run("apply missing.yaml --local --yes").exits(5).says(&["nothing was changed"]);
    bench.golden("missing_function", &[&plan, &apply]);
    let left = bench.run("destroy spec.yaml --local --yes").exits(0);
    assert!(left.stdout.contains("Nothing of this pipeline remains"), "{}", left.text());
}

#[test]
fn someone_elses_stream_is_never_touched() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.variant("other.yaml", &[("metadata:\n  name: alleycat", "metadata:\n  name: intruder")]);
    let plan = bench.run("plan other.yaml --local").exits(5).says(&["stream/alleycat (AC0208)"]);
    let apply = bench.run("apply other.yaml --local --yes").exits(5);
    bench.golden("foreign_stream", &[&plan, &apply]);
    bench.run("destroy other.yaml --local --yes --confirm-name intruder");
    bench.run("plan spec.yaml --local --detailed-exitcode").exits(0);
}

#[test]
fn plan_apply_plan_destroy() {
    let bench = Bench::new();
    let first = bench.run("plan spec.yaml --local").exits(0);
    let dry = bench.run("apply spec.yaml --local --dry-run").exits(0);
    assert_eq!(
        dry.stdout.replace("apply spec.yaml", "plan spec.yaml"),
        first.stdout,
        "--dry-run prints what plan prints"
    );
    bench.run("plan spec.yaml --local --detailed-exitcode").exits(2);
    let unasked = bench.run("apply spec.yaml --local").exits(5).says(&["--yes"]);
    let apply = bench.run("apply spec.yaml --local --yes").exits(0);
    let again = bench.run("plan spec.yaml --local --detailed-exitcode").exits(0);
    assert!(again.stdout.contains("No changes"), "{}", again.text());
    let nothing = bench.run("apply spec.yaml --local --yes").exits(0);
    assert!(nothing.stdout.contains("No changes"), "{}", nothing.text());
    let named = bench.run("destroy spec.yaml --local --yes --confirm-name somebody").exits(5);
    let destroy = bench.run("destroy spec.yaml --local --yes").exits(0);
    for kept in ["stream/alleycat", "table/alleycat-races", "a month"] {
        assert!(destroy.stdout.contains(kept), "{kept} is not listed:\n{}", destroy.text());
    }
    bench.golden("happy_path", &[&first, &unasked, &apply, &again, &nothing, &named, &destroy]);
}

#[test]
fn data_goes_only_when_the_spec_allows_it_and_the_name_is_given() {
    let bench = Bench::new();
    let text = example().replace("deletionPolicy: retain", "deletionPolicy: delete");
    assert!(text.contains("deletionPolicy: delete"), "the example no longer names deletionPolicy");
    bench.write("spec.yaml", &text);
    bench.run("apply spec.yaml --local --yes").exits(0);
    let kept = bench.run("destroy spec.yaml --local --yes").exits(0);
    assert!(kept.stdout.contains("table/alleycat-races"), "{}", kept.text());
    let gone = bench.run("destroy spec.yaml --local --yes --confirm-name alleycat").exits(0);
    assert!(gone.stdout.contains("Nothing of this pipeline remains"), "{}", gone.text());
}

#[test]
fn json_output_is_data_on_stdout() {
    let bench = Bench::new();
    let plan = bench.run("plan spec.yaml --local --output json").exits(0).json();
    assert_eq!(plan["pipeline"], "alleycat");
    assert!(!plan["changes"].as_array().unwrap().is_empty());
    let apply = bench.run("apply spec.yaml --local --yes --output json").exits(0);
    let lines = apply.json_lines();
    assert_eq!(lines.first().unwrap()["event"], "plan");
    assert_eq!(lines.last().unwrap()["event"], "outcome");
    let plan = bench.run("plan spec.yaml --local --output json").exits(0).json();
    assert_eq!(plan["changes"], serde_json::json!([]));
    let passes = bench.run("daemon spec.yaml --local --for 10m --output json").exits(0).json_lines();
    assert!((9..=12).contains(&passes.len()), "{} passes in ten minutes", passes.len());
    let policy = bench.run("iam-policy autoscale").exits(0).json();
    assert_eq!(policy["Version"], "2012-10-17");
}

#[test]
fn observe_never_writes() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    bench.variant("observe.yaml", &[("management: full", "management: observe")]);
    bench.run("apply observe.yaml --local --yes").exits(5).says(&["management: observe"]);
    bench.run("destroy observe.yaml --local --yes").exits(5);
    let passes = bench.run("daemon observe.yaml --local --for 30m --output json").exits(0).json_lines();
    assert!(passes.iter().all(|pass| pass["performed"].as_array().is_some_and(Vec::is_empty)));
}

#[test]
fn a_second_process_is_refused_with_the_holders_name() {
    let bench = Bench::new();
    bench.run("apply spec.yaml --local --yes").exits(0);
    let mut daemon = bench
        .command("daemon spec.yaml --local --speed 60 --output json")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first pass is its sign of life.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(daemon.stdout.as_mut().unwrap()), &mut line).unwrap();
    let second = bench.run("plan spec.yaml --local").exits(69);
    let second = second.says(&[&format!("process {}", daemon.id()), "daemon spec.yaml"]);
    bench.golden("second_process", &[&second]);
    let stopped = Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(daemon.wait().unwrap().code(), Some(0), "a daemon that is told to stop has not failed");
    bench.run("plan spec.yaml --local").exits(0);
}

#[test]
fn a_world_under_a_used_name_is_refused() {
    let bench = Bench::new();
    let world = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/worlds/alleycat.yaml")).unwrap();
    bench.write("mine.yaml", &world);
    bench.run("apply spec.yaml --local=mine.yaml --yes").exits(0);
    bench.run("plan spec.yaml --local=mine.yaml --detailed-exitcode").exits(0);
    bench.run("plan spec.yaml --local --detailed-exitcode").exits(2);
    bench.write("mine.yaml", &format!("{world}\n# changed\n"));
    bench.run("plan spec.yaml --local=mine.yaml").exits(5).says(&["another world"]);
    bench.run("plan spec.yaml --local=none.yaml").exits(65).says(&["none.yaml"]);
}
