//! The agent as everything on the worker sees it: one client, and what the agent says that it can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::diagnostics;
use crate::export::agent::{AgentClient, AgentInfo, REFRESH_INTERVAL, meta_headers};
use crate::process_tags;

/// One per worker.
pub(crate) struct Agent {
    pub(crate) client: Arc<AgentClient>,
    /// `None` until the agent has answered.
    info: watch::Sender<Option<Arc<AgentInfo>>>,
    /// Asks again before the time.
    ask: Notify,
    /// A question is on its way: what it brings is as fresh as can be.
    is_asking: AtomicBool,
    /// Whether it has been asked once, answer or not.
    was_asked: watch::Sender<bool>,
}

impl Agent {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            client: Arc::new(AgentClient::new(
                config.agent_url.clone(),
                config.agent_timeout,
                meta_headers(config),
            )),
            info: watch::Sender::new(None),
            ask: Notify::new(),
            is_asking: AtomicBool::new(true),
            was_asked: watch::Sender::new(false),
        }
    }

    /// What the agent said last.
    pub(crate) fn info(&self) -> Option<Arc<AgentInfo>> {
        self.info.borrow().clone()
    }

    /// Follows what the agent says.
    pub(crate) fn watch_info(&self) -> watch::Receiver<Option<Arc<AgentInfo>>> {
        self.info.subscribe()
    }

    /// Has the agent asked again soon: it has said that something changed.
    pub(crate) fn ask_again(&self) {
        self.ask.notify_one();
    }

    /// Has the agent asked soon, unless it is being asked.
    pub(crate) fn ask(&self) {
        if !self.is_asking.load(Ordering::Relaxed) {
            self.ask_again();
        }
    }

    /// Waits until the agent has been asked once, whether it answered or not.
    pub(crate) async fn asked(&self) {
        let mut was_asked = self.was_asked.subscribe();
        // Fails only if `self` is gone.
        let _ = was_asked.wait_for(|was_asked| *was_asked).await;
    }

    /// Asks the agent what it can do: at once, every five minutes, and when [`ask_again`](Self::ask_again) says so.
    pub(crate) async fn keep_asking(&self) {
        loop {
            self.is_asking.store(true, Ordering::Relaxed);
            match AgentInfo::fetch(&self.client).await {
                Ok(Some(info)) => {
                    process_tags::learn_container_tags_hash(info.container_tags_hash.as_deref());
                    self.info.send_replace(Some(Arc::new(info)));
                }
                Ok(None) => {}
                Err(error) => diagnostics::debug(format_args!(
                    "the agent did not say what it can do: {error}"
                )),
            }
            self.is_asking.store(false, Ordering::Relaxed);
            self.was_asked.send_replace(true);
            let _ = tokio::time::timeout(REFRESH_INTERVAL, self.ask.notified()).await;
        }
    }
}
