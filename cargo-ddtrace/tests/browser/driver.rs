//! Driving Chromium from tests.
//!
//! The DevTools protocol over `--remote-debugging-pipe`: the browser reads commands from file descriptor 3
//! and writes answers and events to 4, each a JSON document that ends in a NUL byte. A shell puts our pipes
//! there (`3<&0 4>&1`), so this needs no unsafe code, no driver binary, no WebSocket and no crate.
//!
//! Everything waits with a deadline and fails with what it was waiting for. The browser named by `CHROMIUM`
//! is used, else `chromium`; without one the failure says how to get it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take; generous, as machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A page, in a browser of its own with an empty profile.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    profile: PathBuf,
    session: Option<String>,
    last_id: u64,
    events: Vec<Value>,
}

/// A node of the accessibility tree.
#[derive(Debug, Clone)]
pub(crate) struct Accessible {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) properties: Value,
}

impl Browser {
    /// Starts the browser and opens an empty page of the given size.
    pub(crate) fn start(width: u32, height: u32) -> Browser {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile =
            std::env::temp_dir().join(format!("ddtrace-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&profile).expect("a folder for the browser's profile");
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en-US",
            "--remote-debugging-pipe",
        ];
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 1>&2", &program])
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(profile.join("stderr.log")).expect("the browser's log"))
            .spawn()
            .expect("a shell");
        let commands = child.stdin.take().expect("standard input is a pipe");
        let answers = child.stdout.take().expect("standard output is a pipe");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(answers);
            let mut message = Vec::new();
            while matches!(reader.read_until(0, &mut message), Ok(read) if read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else {
                    break;
                };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Browser {
            child,
            commands,
            messages,
            profile,
            session: None,
            last_id: 0,
            events: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = Some(
            attached["sessionId"]
                .as_str()
                .expect("a session")
                .to_owned(),
        );
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": "window.violations = []; addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));"}),
        );
        browser.resize(width, height);
        browser
    }

    /// Sends a command and waits for its answer; events that come meanwhile are kept.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if self
            .commands
            .write_all(&bytes)
            .and_then(|()| self.commands.flush())
            .is_err()
        {
            self.gone(method);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(message) = self.receive(deadline, method) else {
                panic!("the browser did not answer {method} in time")
            };
            if message["id"] == json!(id) {
                assert!(
                    message.get("error").is_none(),
                    "{method}: {}",
                    message["error"]
                );
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self, deadline: Instant, doing: &str) -> Option<Value> {
        match self
            .messages
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => self.gone(doing),
        }
    }

    fn gone(&self, doing: &str) -> ! {
        let log = std::fs::read_to_string(self.profile.join("stderr.log")).unwrap_or_default();
        panic!(
            "the browser ended while {doing} was under way. If there is none, install it (Debian, Ubuntu: `apt-get install -y chromium`) \
             or name one in CHROMIUM. It said:\n{log}"
        );
    }

    /// Takes events until one has the method.
    fn wait_event(&mut self, method: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self
                .events
                .iter()
                .position(|event| event["method"] == method)
            {
                self.events.remove(index);
                return;
            }
            let Some(message) = self.receive(deadline, method) else {
                panic!("no {method} in time")
            };
            self.events.push(message);
        }
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// What the system prefers, as pages see it: `dark` or `light`, less motion or not.
    pub(crate) fn prefer(&mut self, scheme: &str, less_motion: bool) {
        let motion = if less_motion {
            "reduce"
        } else {
            "no-preference"
        };
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]}),
        );
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str) {
        self.events
            .retain(|event| event["method"] != "Page.loadEventFired");
        let answer = self.call("Page.navigate", json!({"url": address}));
        assert!(
            answer.get("errorText").is_none(),
            "{address}: {}",
            answer["errorText"]
        );
        self.wait_event("Page.loadEventFired");
    }

    /// The value of an expression; promises are awaited.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}),
        );
        let thrown = &answer["exceptionDetails"];
        assert!(
            thrown.is_null(),
            "{expression}\nthrew {}",
            thrown["exception"]["description"]
                .as_str()
                .unwrap_or("something")
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is truthy, and answers its value.
    pub(crate) fn wait(&mut self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.eval(expression);
            if !matches!(&value, Value::Null | Value::Bool(false))
                && value != json!("")
                && value != json!(0)
            {
                return value;
            }
            if Instant::now() > deadline {
                let shown =
                    self.eval("document.body ? document.body.innerText.slice(0, 1500) : ''");
                panic!(
                    "it never became true: {expression}\nthe page shows:\n{}\n{:?}",
                    shown.as_str().unwrap_or(""),
                    self.trouble()
                );
            }
            // Events wake this up; without any the next look is a moment later.
            if let Some(message) =
                self.receive(Instant::now() + Duration::from_millis(25), "waiting")
            {
                self.events.push(message);
            }
        }
    }

    /// Waits until some element of the page shows the text.
    pub(crate) fn wait_text(&mut self, text: &str) {
        self.wait(&format!(
            "document.body && document.body.innerText.includes({})",
            json!(text)
        ));
    }

    /// Clicks in the middle of the first element that the selector finds, as a mouse would.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.wait(&format!(
            "(() => {{ const node = document.querySelector({}); if (!node) return null; node.scrollIntoView({{block: 'nearest'}}); \
             const box = node.getBoundingClientRect(); return box.width > 0 ? [box.x + box.width / 2, box.y + box.height / 2] : null; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "buttons": 1, "clickCount": 1}),
            );
        }
    }

    /// Drags from one place to another, both in pixels of the page.
    pub(crate) fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        for (kind, (x, y), buttons) in [
            ("mousePressed", from, 1),
            ("mouseMoved", middle, 1),
            ("mouseMoved", to, 1),
            ("mouseReleased", to, 0),
        ] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1}),
            );
        }
    }

    pub(crate) fn hover(&mut self, x: f64, y: f64) {
        self.call(
            "Input.dispatchMouseEvent",
            json!({"type": "mouseMoved", "x": x, "y": y}),
        );
    }

    /// Presses and releases keys, one after another: letters, or names such as `Enter` and `ArrowDown`.
    pub(crate) fn press(&mut self, keys: &[&str]) {
        for key in keys {
            let code = match *key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                "ArrowLeft" => 37,
                "ArrowUp" => 38,
                "ArrowRight" => 39,
                "ArrowDown" => 40,
                "End" => 35,
                "Home" => 36,
                _ => 0,
            };
            let text = match *key {
                "Enter" => "\r",
                letter if letter.chars().count() == 1 => letter,
                _ => "",
            };
            let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
            if !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
            );
        }
    }

    /// Types into what has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Everything that assistive technology is told, ignored nodes left out.
    pub(crate) fn accessibility(&mut self) -> Vec<Accessible> {
        let answer = self.call("Accessibility.getFullAXTree", json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = answer["nodes"].as_array().expect("a list of nodes");
        nodes
            .iter()
            .filter(|node| node["ignored"] != json!(true))
            .map(|node| Accessible {
                role: text(&node["role"]),
                name: text(&node["name"]),
                properties: node["properties"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|property| {
                        (
                            text(&json!({"value": property["name"]})),
                            property["value"]["value"].clone(),
                        )
                    })
                    .collect::<serde_json::Map<String, Value>>()
                    .into(),
            })
            .collect()
    }

    /// Saves what is seen as a PNG file.
    pub(crate) fn screenshot(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = base64(answer["data"].as_str().expect("a picture"));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("the folder of the screenshot");
        }
        std::fs::write(file, bytes).expect("the screenshot is written");
    }

    /// Whatever should not have happened since the page was opened: lines on the console, exceptions, entries of
    /// the browser's log, violations of the content policy, requests to other origins.
    pub(crate) fn trouble(&mut self) -> Vec<String> {
        let origin = self
            .eval("location.origin")
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let violations = self.eval("window.violations || []");
        let mut found: Vec<String> = violations
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| format!("policy: {one}"))
            .collect();
        for event in &self.events {
            let parameters = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.consoleAPICalled") => {
                    found.push(format!("console: {}", parameters["args"]))
                }
                Some("Runtime.exceptionThrown") => {
                    found.push(format!("exception: {}", parameters["exceptionDetails"]))
                }
                Some("Log.entryAdded") => {
                    found.push(format!("log: {}", parameters["entry"]["text"]))
                }
                Some("Network.requestWillBeSent") => {
                    let address = parameters["request"]["url"].as_str().unwrap_or_default();
                    let own = address
                        .strip_prefix(&origin)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                    if !own && !address.starts_with("data:") && !address.starts_with("about:") {
                        found.push(format!("request to {address}"));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The paths that the page has asked for since it was opened.
    pub(crate) fn requested(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| {
            event["params"]["request"]["url"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to close, it ends its helpers before itself, so that nobody writes into the profile any more.
        self.session = None;
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        if self.commands.write_all(close).is_ok() {
            let deadline = Instant::now() + Duration::from_secs(5);
            while self
                .messages
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .is_ok()
            {}
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Decodes base64 (RFC 4648 §4); anything outside the alphabet is skipped.
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
