//! The task that sends what waits.
//!
//! It sleeps until a line is there, waits a little for others, packs what there is, and sends. A receiver that takes no more
//! for [`PATIENCE`] loses the rest of the round; one that is not there is looked for again after [`RETRY_AFTER`], and what
//! comes meanwhile is dropped. Nothing is kept for later: a metric says how it is, not how it was.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::FLUSH_INTERVAL;
use super::buffer::Datagrams;
use super::client::{Client, Inner};
use super::socket::{self, Socket};
use crate::diagnostics;
use crate::worker::task::{TaskContext, TaskFuture, Turn};

/// How long the sending of what waited may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nothing but lines and orders wakes the task.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often a name is resolved.
const RESOLVE_EVERY: Duration = Duration::from_secs(300);

/// How long after a failure the receiver is looked for again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The task that sends what the client of `init()` collects.
pub(crate) fn start(context: TaskContext) -> Option<TaskFuture> {
    let delivery = Delivery::new(super::client()?);
    Some(Box::pin(run(delivery, context)))
}

async fn run(mut delivery: Delivery, mut context: TaskContext) {
    loop {
        let turn = {
            let mut lines = pin!(delivery.wait());
            let mut turn = pin!(context.turn(context.now() + FAR));
            poll_fn(|task| match turn.as_mut().poll(task) {
                Poll::Ready(turn) => Poll::Ready(turn),
                Poll::Pending => lines.as_mut().poll(task).map(|()| Turn::Due),
            })
            .await
        };
        // Kept until what waits is sent.
        let is_last = matches!(turn, Turn::Stop);
        delivery.deliver().await;
        drop(turn);
        if is_last {
            return;
        }
    }
}

struct Delivery {
    client: Client,
    socket: Option<Socket>,
    /// Before that, the receiver is not looked for.
    retry_at: Option<Instant>,
    /// After that, the address is resolved anew: a name may stand for another host by then, and UDP does not tell.
    resolve_at: Instant,
    /// Lines of one shard, swapped against the next.
    spare: Vec<u8>,
    /// Lines of all shards.
    lines: Vec<u8>,
}

impl Delivery {
    fn new(client: Client) -> Self {
        Self {
            client,
            socket: None,
            retry_at: None,
            resolve_at: Instant::now() + RESOLVE_EVERY,
            spare: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Until there is something to send and others had time to join it.
    async fn wait(&self) {
        let inner = self.client.inner();
        inner.waits.notified().await;
        // At most the interval, and shorter if there is much.
        let _ = tokio::time::timeout(FLUSH_INTERVAL, inner.hurry.notified()).await;
    }

    /// Sends what waits.
    async fn deliver(&mut self) {
        let client = self.client.clone();
        let inner = client.inner();
        let mut lines = std::mem::take(&mut self.lines);
        inner
            .buffer
            .drain(&mut self.spare, |shard| lines.extend_from_slice(shard));
        let deadline = Instant::now() + PATIENCE;
        self.resolve_if_due(inner, deadline).await;
        for datagram in Datagrams::new(&lines, socket::limit(&inner.address)) {
            if self.send(inner, datagram, deadline).await {
                inner.counters.sent(datagram.len());
            } else {
                inner.counters.dropped(datagram.len());
            }
        }
        lines.clear();
        // A burst's memory is not kept.
        lines.shrink_to(64 << 10);
        self.spare.shrink_to(64 << 10);
        self.lines = lines;
    }

    /// Sends a datagram; once more over a new socket if the old one turns out to be dead.
    async fn send(&mut self, inner: &Inner, datagram: &[u8], deadline: Instant) -> bool {
        let mut fresh = false;
        loop {
            if self.socket.is_none() {
                if !self.connect(inner, deadline).await {
                    return false;
                }
                fresh = true;
            }
            let Some(socket) = &self.socket else {
                return false;
            };
            match timeout_at(deadline, socket.send(datagram)).await {
                Ok(Ok(())) => return true,
                // Nobody took it in time: half a datagram in a stream would spoil what follows.
                Err(_) => {
                    if socket.is_stream() {
                        self.socket = None;
                    }
                    return false;
                }
                Ok(Err(error)) => {
                    self.socket = None;
                    if fresh {
                        self.fail(inner, &error);
                        return false;
                    }
                }
            }
        }
    }

    /// Takes a socket to what the name stands for by now. Without an answer the old one stays.
    async fn resolve_if_due(&mut self, inner: &Inner, deadline: Instant) {
        if Instant::now() < self.resolve_at || !socket::has_name(&inner.address) {
            return;
        }
        self.resolve_at = Instant::now() + RESOLVE_EVERY;
        if let Ok(Ok(socket)) = timeout_at(deadline, Socket::connect(&inner.address)).await {
            self.socket = Some(socket);
        }
    }

    async fn connect(&mut self, inner: &Inner, deadline: Instant) -> bool {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let error = match timeout_at(deadline, Socket::connect(&inner.address)).await {
            Ok(Ok(socket)) => {
                self.socket = Some(socket);
                self.retry_at = None;
                return true;
            }
            Ok(Err(error)) => error,
            Err(_) => std::io::ErrorKind::TimedOut.into(),
        };
        self.fail(inner, &error);
        false
    }

    fn fail(&mut self, inner: &Inner, error: &std::io::Error) {
        self.retry_at = Some(Instant::now() + RETRY_AFTER);
        let address = &inner.address;
        diagnostics::debug(format_args!(
            "metrics can not be sent to {address}: {error}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::UdpSocket;
    use std::path::Path;

    use super::*;
    use crate::config::{Config, MapEnvironment};
    use crate::dogstatsd::Metric;

    fn client(url: &str) -> Client {
        let environment = MapEnvironment::new()
            .variable("DD_DOGSTATSD_URL", url)
            .variable("DD_ORIGIN_DETECTION_ENABLED", "false");
        Client::new(&Config::builder().environment(&environment).build())
    }

    fn deliver(delivery: &mut Delivery) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(delivery.deliver());
        // The socket belongs to the runtime.
        delivery.socket = None;
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("ddtrace-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn url(path: &Path) -> String {
        format!("unix://{}", path.display())
    }

    #[test]
    fn lines_share_datagrams_over_udp_up_to_their_size() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let port = receiver.local_addr().unwrap().port();
        let client = client(&format!("udp://localhost:{port}"));
        for index in 0..100 {
            client.send(Metric::count("a.name.of.some.length", index));
        }
        deliver(&mut Delivery::new(client.clone()));
        let (mut lines, mut datagrams) = (0, 0);
        let mut buffer = [0; 65_536];
        while lines < 100 {
            let length = receiver.recv(&mut buffer).unwrap();
            assert!(length <= socket::UDP_LIMIT);
            lines += buffer[..length].split(|byte| *byte == b'\n').count();
            datagrams += 1;
        }
        // 100 lines of 27 or 28 bytes.
        assert_eq!((lines, datagrams), (100, 2));
        let counts = client.counts();
        assert_eq!((counts.sent_datagrams, counts.dropped_datagrams), (2, 0));
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_for_datagrams_and_one_for_a_stream_are_told_apart() {
        let folder = folder("dsd");
        let (datagram, stream) = (folder.join("datagram"), folder.join("stream"));
        let receiver = std::os::unix::net::UnixDatagram::bind(&datagram).unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let sender = client(&url(&datagram));
        sender.send(Metric::gauge("a", 1));
        deliver(&mut Delivery::new(sender));
        let mut buffer = [0; 100];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"a:1|g");

        let listener = std::os::unix::net::UnixListener::bind(&stream).unwrap();
        let sender = client(&url(&stream));
        sender.send(Metric::gauge("a", 1));
        sender.send(Metric::gauge("a", 2));
        deliver(&mut Delivery::new(sender));
        let (mut accepted, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"\x0b\0\0\0a:1|g\na:2|g");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_name_is_resolved_again_and_an_address_is_not() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for (host, is_resolved) in [("localhost", true), ("127.0.0.1", false)] {
            let client = client(&format!("udp://{host}:{port}"));
            let mut delivery = Delivery::new(client);
            let local = |delivery: &Delivery| match &delivery.socket {
                Some(Socket::Udp(socket)) => socket.local_addr().unwrap().port(),
                other => panic!("{other:?}"),
            };
            runtime.block_on(async {
                delivery.client.send(Metric::gauge("a", 1));
                delivery.deliver().await;
                let before = local(&delivery);
                delivery.resolve_at = Instant::now();
                delivery.client.send(Metric::gauge("a", 2));
                delivery.deliver().await;
                assert_eq!(local(&delivery) != before, is_resolved, "{host}");
                assert!(delivery.resolve_at > Instant::now() || !is_resolved);
            });
            assert_eq!(delivery.client.counts().sent_datagrams, 2);
        }
    }

    #[test]
    fn a_receiver_that_is_away_costs_the_metrics_and_is_found_when_it_comes() {
        let folder = folder("dsd-away");
        let path = folder.join("socket");
        let client = client(&url(&path));
        let mut delivery = Delivery::new(client.clone());
        client.send(Metric::gauge("a", 1));
        deliver(&mut delivery);
        assert_eq!(client.counts().dropped_datagrams, 1);
        #[cfg(unix)]
        {
            let receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
            delivery.retry_at = None;
            client.send(Metric::gauge("a", 2));
            deliver(&mut delivery);
            let mut buffer = [0; 100];
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"a:2|g");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
