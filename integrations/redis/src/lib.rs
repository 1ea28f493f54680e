//! Spans for every command of redis 1.
//!
//! ```no_run
//! # async fn example() -> redis::RedisResult<()> {
//! use ddtrace_redis::Traced;
//! use redis::AsyncCommands as _;
//!
//! let client = redis::Client::open("redis://localhost/")?;
//! let connection = client.get_multiplexed_async_connection().await?;
//! let mut connection = Traced::new(connection, client.get_connection_info());
//!
//! let _: () = connection.set("kettle", 1).await?;
//! let _: i64 = redis::pipe().atomic().incr("kettle", 1).query_async(&mut connection).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Wrap a connection once: one that is multiplexed, a `ConnectionManager`, a connection to a cluster, one of a pool, or one
//! that blocks. A [`Traced`] of a connection that can be cloned can be cloned.
//!
//! # What a span says
//!
//! Name `redis.command`, type `redis`, kind `client`, service `redis`. Resource: the name of the command, or those of a pipeline,
//! one a line; with `DD_REDIS_RESOURCE_ONLY_COMMAND=false` the arguments as well. `redis.raw_command`, the command with its
//! arguments, each cut to 100 characters and all together to `DD_REDIS_CMD_MAX_LENGTH` (1000); what proves who somebody is stands
//! there as `?`: the arguments of `AUTH`, `HELLO`, `MIGRATE` and `ACL`, the values of `CONFIG SET` and `SENTINEL SET`.
//! `redis.args_length` or `redis.pipeline_length`, `out.redis_db`, `db.system`, `out.host`, `server.address`,
//! `network.destination.port`; `db.row_count` for commands that read. An error of the server is an error of the span, whose
//! type is its code (`WRONGTYPE`), also where the library hands it on as one of a pipeline's answers.
//!
//! `subscribe` and its like are commands too; messages that arrive make no spans of their own.
//!
//! # How it works
//!
//! Everything that redis offers goes through its two traits, both called `ConnectionLike`: the commands, pipelines, scripts,
//! transactions, scans. [`Traced`] implements both for whatever has them. A blocking pipeline reaches it in the form in which
//! it is sent, from which its commands are read back.
//!
//! What gets around it: what a connection can do beyond these traits and the subscriptions, by [`Traced::inner_mut`]
//! (`connection.inner_mut().on_message()`).

mod command;
mod packed;
mod pubsub;
mod span;
mod traced;

pub use traced::Traced;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("redis", "redis", "1")
}
