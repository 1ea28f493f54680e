//! Commands of Redis: what is read back from the bytes that a blocking connection sends, and what becomes a text.

use ddtrace_core::test_support::Recorder;
use ddtrace_redis::Traced;
use redis::{ConnectionLike, IntoConnectionInfo as _, RedisResult, Value};

/// The most that `redis.raw_command` has of arguments, in characters.
const MOST: usize = 1000;

/// In every input's company, and never to be seen.
const SECRET: &str = "oRd1n4ry-s3cret";

/// A connection to nobody.
struct Nobody;

impl ConnectionLike for Nobody {
    fn req_packed_command(&mut self, _: &[u8]) -> RedisResult<Value> {
        Ok(Value::Nil)
    }

    fn req_packed_commands(&mut self, _: &[u8], _: usize, _: usize) -> RedisResult<Vec<Value>> {
        Ok(Vec::new())
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}

thread_local! {
    /// One for all inputs: what a recorder was made with stays in memory.
    static RECORDER: Recorder = Recorder::new();
}

/// A byte for what a pipeline is said to be, then the bytes of one, as they are sent or as lines of words.
pub fn redis_command(data: &[u8]) {
    let [first, data @ ..] = data else {
        return;
    };
    RECORDER.with(Recorder::take);
    let server = "redis://localhost/".into_connection_info();
    let mut connection = Traced::new(Nobody, &server.expect("an address"));
    let (offset, count) = (usize::from(first % 4), usize::from(first / 4));
    let sent = connection.req_packed_command(data);
    let piped = connection.req_packed_commands(data, offset, count);
    assert!(sent.is_ok() && piped.is_ok(), "what came is handed on");

    let mut pipeline = redis::pipe();
    pipeline.cmd("AUTH").arg("ada").arg(SECRET);
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let mut words = line.split(|byte| *byte == b' ');
        let mut command = redis::Cmd::new();
        command.arg(words.next()).arg(words.collect::<Vec<_>>());
        pipeline.add_command(command);
    }
    pipeline
        .cmd("CONFIG")
        .arg("SET")
        .arg("requirepass")
        .arg(SECRET);
    let packed = pipeline.get_packed_pipeline();
    let length = pipeline.cmd_iter().count();
    let piped = connection.req_packed_commands(&packed, 0, length);
    assert!(piped.is_ok());

    let spans = RECORDER.with(Recorder::take);
    assert_eq!(spans.len(), 3, "each call has a span");
    let hidden = !data
        .windows(SECRET.len())
        .any(|found| found == SECRET.as_bytes());
    for span in &spans {
        let raw = span.meta("redis.raw_command").unwrap_or_default();
        let separators = data.len() + 16;
        assert!(
            raw.chars().count() <= MOST + 3 + separators,
            "{}",
            raw.len()
        );
        assert!(!hidden || !format!("{span:?}").contains(SECRET), "{span:?}");
    }
    assert!(spans[2].resource.starts_with("AUTH"), "{:?}", spans[2]);
    assert_eq!(
        spans[2].metric("redis.pipeline_length"),
        Some(length as f64)
    );
}
