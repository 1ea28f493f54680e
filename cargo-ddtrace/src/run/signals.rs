//! Signals that reach us.

#[cfg(unix)]
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A wish that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Signal {
    /// Its number, as in the status 128 + n.
    pub fn number(self) -> i32 {
        match self {
            Signal::HangUp => 1,
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        }
    }
}

/// Waits for signals, which from then on do not end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    streams: [Option<Stream>; 3],
}

impl Default for Signals {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen; call it within a runtime.
    pub fn new() -> Signals {
        let listen = |kind| signal(kind).ok();
        Signals {
            streams: [
                listen(SignalKind::interrupt()),
                listen(SignalKind::terminate()),
                listen(SignalKind::hangup()),
            ],
        }
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        let [interrupt, terminate, hang_up] = &mut self.streams;
        tokio::select! {
            () = received(interrupt) => Signal::Interrupt,
            () = received(terminate) => Signal::Terminate,
            () = received(hang_up) => Signal::HangUp,
        }
    }
}

#[cfg(unix)]
async fn received(stream: &mut Option<Stream>) {
    match stream {
        Some(stream) => drop(stream.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    pub fn new() -> Signals {
        Signals {}
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Signals {
    /// Waits until somebody wants us to end.
    pub async fn ended(&mut self) {
        self.next().await;
    }
}
