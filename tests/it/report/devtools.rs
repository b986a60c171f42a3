//! Chromium without a window, driven through its DevTools pipe: requests on descriptor 3, answers on 4, each one JSON
//! text and a zero byte. Nothing but the browser itself is needed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Seconds after which the browser is killed, whatever it does.
const PATIENCE: &str = "120";

/// The browser; `None`, and said so, when there is none.
pub fn chromium(check: &str) -> Option<PathBuf> {
    let named = std::env::var_os("ALLEYCAT_CHROMIUM").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&paths)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
    let found = named.or_else(|| places.find(|place| place.is_file()));
    if found.is_none() {
        let ci = ["CI", "ALLEYCAT_CI"].iter().any(|name| std::env::var(name).is_ok_and(|it| it == "true" || it == "1"));
        assert!(!ci, "{check}: there is no chromium and this is CI");
        eprintln!("NOT RUN: {check}: install chromium");
    }
    found
}

/// One browser with one page.
pub struct Page {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    next: u64,
    /// What it told without being asked, oldest first.
    pub events: Vec<Value>,
    _profile: TempDir,
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser whose pipe is closed ends; `timeout` ends one that does not.
        self.to = None;
        let _ = self.child.wait();
    }
}

impl Page {
    /// An empty page of this size.
    pub fn open(chromium: &Path, width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("timeout");
        // A container's root has no sandbox of its own, and the page is ours.
        command
            .args(["--kill-after=5", PATIENCE, "sh", "-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null"])
            .arg(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut page = Self { child, to, from, session: None, next: 0, events: Vec::new(), _profile: profile };
        let target = page.ask("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        page.session = page.ask("Target.attachToTarget", &attach)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Accessibility"] {
            page.ask(&format!("{domain}.enable"), &json!({}));
        }
        page.size(width, height);
        page
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut request = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{request}\0").as_bytes()).and_then(|()| to.flush()).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut text = Vec::new();
        self.from.read_until(0, &mut text).unwrap();
        assert!(text.pop().is_some(), "the browser ended, or took more than {PATIENCE} s");
        serde_json::from_slice(&text).unwrap()
    }

    /// Opens an address and waits until it is loaded.
    pub fn go(&mut self, address: &str) {
        self.ask("Page.navigate", &json!({"url": address}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    /// Resizes it.
    pub fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the reader prefers: `light` or `dark`.
    pub fn scheme(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.ask("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// A picture of the page's upper left, as PNG.
    pub fn picture(&mut self, width: u32, height: u32, scale: f64) -> Vec<u8> {
        use base64::Engine as _;
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": scale});
        let shot = json!({"format": "png", "clip": clip, "captureBeyondViewport": true});
        let answer = self.ask("Page.captureScreenshot", &shot);
        base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }
}
