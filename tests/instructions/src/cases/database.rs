//! Statements and commands. The servers do nothing but answer, in memory; what they do is counted as well, and the same for all.

use std::sync::LazyLock;

use ddtrace_redis::Traced as TracedConnection;
use ddtrace_sqlx::Traced as TracedPool;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncCommands as _, IntoConnectionInfo as _, RedisConnectionInfo};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use super::{Calls, runtime};

const STATEMENT: &str = "SELECT $1 + 1";

/// SQLite in memory: its work is done by a thread of sqlx's, which is not counted.
pub(crate) fn sqlx(is_traced: bool) -> Calls {
    async fn fetch<'a, E>(executor: E)
    where
        E: sqlx::Executor<'a, Database = sqlx::Sqlite>,
    {
        let query = sqlx::query_scalar::<_, i64>(STATEMENT).bind(6_i64);
        assert_eq!(query.fetch_one(executor).await.expect("a row"), 7);
    }
    let runtime = runtime();
    let pool: SqlitePool = runtime
        .block_on(
            SqlitePoolOptions::new()
                .max_connections(1)
                .connect("sqlite::memory:"),
        )
        .expect("a database");
    let traced = TracedPool::new(pool.clone());
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                if is_traced {
                    fetch(&traced).await;
                } else {
                    fetch(&pool).await;
                }
            }
        });
    })
}

/// Speaks as much of PostgreSQL's protocol as one prepared statement with a number takes.
async fn answer_as_postgres(mut peer: DuplexStream) -> std::io::Result<()> {
    fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
        out.push(kind);
        let length = u32::try_from(content.len() + 4).expect("a short message");
        out.extend(length.to_be_bytes());
        out.extend(content);
    }
    const NUMBER: [u8; 4] = 23_u32.to_be_bytes();
    let parameters = [&1_u16.to_be_bytes()[..], &NUMBER].concat();
    let columns = [
        &1_u16.to_be_bytes()[..],
        b"sum\0",
        &[0; 6],
        &NUMBER,
        &4_u16.to_be_bytes(),
        &[0xff; 4],
        &[0; 2],
    ]
    .concat();
    let row = [
        &1_u16.to_be_bytes()[..],
        &4_u32.to_be_bytes(),
        &7_u32.to_be_bytes(),
    ]
    .concat();
    // The first message has no kind.
    let length = peer.read_u32().await?;
    let mut content = vec![0; length as usize - 4];
    peer.read_exact(&mut content).await?;
    let mut out = Vec::new();
    put(&mut out, b'R', &[0; 4]);
    put(&mut out, b'Z', b"I");
    loop {
        peer.write_all(&out).await?;
        out.clear();
        loop {
            let kind = peer.read_u8().await?;
            let length = peer.read_u32().await?;
            content.resize(length as usize - 4, 0);
            peer.read_exact(&mut content).await?;
            match kind {
                b'P' => put(&mut out, b'1', &[]),
                b'D' => {
                    put(&mut out, b't', &parameters);
                    put(&mut out, b'T', &columns);
                }
                b'B' => put(&mut out, b'2', &[]),
                b'E' => {
                    put(&mut out, b'D', &row);
                    put(&mut out, b'C', b"SELECT 1\0");
                }
                b'S' => {
                    put(&mut out, b'Z', b"I");
                    break;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// A statement that is prepared once.
pub(crate) fn postgres(is_traced: bool) -> Calls {
    let runtime = runtime();
    let config: tokio_postgres::Config = "host=db.example user=ada dbname=orders"
        .parse()
        .expect("a configuration");
    let client = runtime.block_on(async {
        let (own, peer) = tokio::io::duplex(1 << 16);
        tokio::spawn(answer_as_postgres(peer));
        let (client, connection) = config.connect_raw(own, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    });
    if is_traced {
        let client = ddtrace_tokio_postgres::Client::new(client, &config);
        let statement = runtime
            .block_on(client.prepare(STATEMENT))
            .expect("a statement");
        Box::new(move |calls| {
            runtime.block_on(async {
                for _ in 0..calls {
                    let row = client.query_one(&statement, &[&6_i32]).await;
                    assert_eq!(row.expect("a row").get::<_, i32>(0), 7);
                }
            });
        })
    } else {
        let statement = runtime
            .block_on(client.prepare(STATEMENT))
            .expect("a statement");
        Box::new(move |calls| {
            runtime.block_on(async {
                for _ in 0..calls {
                    let row = client.query_one(&statement, &[&6_i32]).await;
                    assert_eq!(row.expect("a row").get::<_, i32>(0), 7);
                }
            });
        })
    }
}

/// Answers commands that come in whole, `GET` with a text and all others with `OK`.
async fn answer_as_redis(mut peer: DuplexStream) {
    let mut commands = [0; 4096];
    let mut out = Vec::new();
    while let Ok(read @ 1..) = peer.read(&mut commands).await {
        let mut lines = commands[..read].split(|byte| *byte == b'\n');
        while let Some(line) = lines.next() {
            if line.first() == Some(&b'*') {
                // The length of the name, and the name.
                let name = lines.nth(1).unwrap_or_default();
                out.extend_from_slice(match name {
                    b"GET\r" => b"$3\r\nada\r\n",
                    _ => b"+OK\r\n",
                });
            }
        }
        if peer.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}

/// What the library reads its settings from for as long as it likes.
static INFO: LazyLock<RedisConnectionInfo> = LazyLock::new(RedisConnectionInfo::default);

fn redis_connection(runtime: &Runtime) -> MultiplexedConnection {
    runtime.block_on(async {
        let (own, peer) = tokio::io::duplex(1 << 16);
        tokio::spawn(answer_as_redis(peer));
        let (connection, driver) = MultiplexedConnection::new(&INFO, own)
            .await
            .expect("a connection");
        tokio::spawn(driver);
        connection
    })
}

/// Sets up calls on a connection, or on the same wrapped.
fn redis_calls<B, T>(is_traced: bool, bare: B, traced: T) -> Calls
where
    B: AsyncFn(&mut MultiplexedConnection) + 'static,
    T: AsyncFn(&mut TracedConnection<MultiplexedConnection>) + 'static,
{
    let runtime = runtime();
    let mut connection = redis_connection(&runtime);
    let info = "redis://cache.example:6379/2".into_connection_info();
    let mut wrapped = TracedConnection::new(connection.clone(), &info.expect("an address"));
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                if is_traced {
                    traced(&mut wrapped).await;
                } else {
                    bare(&mut connection).await;
                }
            }
        });
    })
}

async fn get(connection: &mut (impl ConnectionLike + Send + Sync)) {
    let value: String = connection.get("user:7").await.expect("an answer");
    assert_eq!(value, "ada");
}

pub(crate) fn redis(is_traced: bool) -> Calls {
    redis_calls(
        is_traced,
        async |it| get(it).await,
        async |it| get(it).await,
    )
}

async fn pipeline(connection: &mut impl ConnectionLike) {
    let mut pipeline = redis::pipe();
    for _ in 0..5 {
        pipeline.set("user:7", "ada").ignore().get("user:7");
    }
    let values: Vec<String> = pipeline.query_async(connection).await.expect("answers");
    assert_eq!(values.len(), 5);
}

pub(crate) fn redis_pipeline(is_traced: bool) -> Calls {
    redis_calls(
        is_traced,
        async |it| pipeline(it).await,
        async |it| pipeline(it).await,
    )
}
