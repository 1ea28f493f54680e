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
//! A cluster has several servers; its spans have the address that the program gives, as a rule that of its first node:
//!
//! ```no_run
//! # fn example() -> redis::RedisResult<()> {
//! # #[cfg(feature = "cluster")] {
//! use redis::IntoConnectionInfo as _;
//!
//! let nodes = ["redis://node-1/", "redis://node-2/"];
//! let connection = redis::cluster::ClusterClient::new(nodes)?.get_connection()?;
//! let connection = ddtrace_redis::Traced::new(connection, &nodes[0].into_connection_info()?);
//! # drop(connection);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! A command has one span however many nodes it goes to, and however often a node sends it on to another (`MOVED`, `ASK`).
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
//! `PUBLISH`, `subscribe` and its like are commands; messages that arrive make no spans of their own, and a subscription keeps no
//! trace open.
//!
//! # How it works
//!
//! Everything that redis offers goes through its two traits, both called `ConnectionLike`: the commands, pipelines, scripts,
//! transactions, scans. [`Traced`] implements both for whatever has them. A blocking pipeline reaches it in the form in which
//! it is sent, from which its commands are read back.
//!
//! What gets around it: what a connection can do beyond these traits and the subscriptions, by [`Traced::inner_mut`]
//! (`connection.inner_mut().on_message()`, and `as_pubsub()` of a connection that blocks).
//!
//! # Features
//!
//! `cluster` and `connection-manager`, for programs with the features of redis that are called `cluster-async` and so:
//! pipelines of a cluster (`Traced::query_pipeline`), commands with a route of their own, and the subscriptions of these
//! connections. Everything else works without.

#[cfg(feature = "cluster")]
mod cluster;
mod command;
mod packed;
mod pubsub;
mod span;
mod traced;

pub use traced::Traced;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("redis", "redis", "1")
}
