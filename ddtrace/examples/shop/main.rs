//! A small real shop: services in processes of their own, one trace through all of them.
//!
//! ```text
//! cargo run -p cargo-ddtrace -- run --example shop            # with the local agent and viewer
//! cargo run -p ddtrace --example shop                         # sends to an agent of your own
//! cargo run -p ddtrace --example shop -- --once               # five seconds of load, then it ends
//! cargo run -p ddtrace --example shop --features kafka        # with Kafka
//! ```
//!
//! ```text
//!   customers ──> storefront ──> warehouse ──> SQLite
//!                  │  │              └─ restocks in the background
//!                  │  └────────> payments ──> SQLite
//!                  │                 └─ settles in the background
//!                  └─ orders ~~> packing ~~> parcels ~~> the customer is written to
//!      └───────> support ──> language model
//!                   └──────> warehouse
//! ```
//!
//! The line with waves is messages (`messages.rs`): channels within the storefront, or Kafka between storefront and warehouse with
//! `--features kafka`, played by librdkafka unless `KAFKA_BROKERS` names real brokers. Their pathways are measured as well.
//!
//! Support is an assistant (`support.rs`); what it asks a language model, and what tools and knowledge it uses, is in LLM Observability. The model
//! is played by `provider.rs`.
//!
//! One binary plays every part: without a role it starts itself once for each and is the customers. Each service says who it is in
//! code (`service.rs`), so that nothing but the agent's address has to be configured from outside.
//!
//! What to look for in the traces: orders that cross all three services; a slow report; a card that is declined (an error
//! that the storefront handles); a product that does not exist; a warehouse that runs out; a payment service with a bug
//! that panics; customers who give up waiting; a model that breaks off when it is asked for a refund.

#[cfg(not(feature = "kafka"))]
mod channel;
mod customers;
#[cfg(feature = "kafka")]
mod kafka;
mod messages;
mod payments;
mod processes;
mod provider;
mod service;
mod storefront;
mod support;
mod warehouse;

use std::path::PathBuf;
use std::process::ExitCode;

/// What this process is.
enum Role {
    /// Starts the services and buys from them.
    Customers {
        once: bool,
    },
    Warehouse {
        folder: PathBuf,
        brokers: Option<String>,
    },
    Payments {
        folder: PathBuf,
    },
    /// Plays a provider of language models.
    Provider,
    Support {
        models: String,
        warehouse: String,
    },
    Storefront {
        warehouse: String,
        payments: String,
        brokers: Option<String>,
    },
}

impl Role {
    fn from_arguments() -> Result<Self, String> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words[..] {
            [] => Ok(Self::Customers { once: false }),
            ["--once"] => Ok(Self::Customers { once: true }),
            ["warehouse", folder, ref brokers @ ..] => Ok(Self::Warehouse {
                folder: folder.into(),
                brokers: brokers.first().map(|&servers| servers.to_owned()),
            }),
            ["payments", folder] => Ok(Self::Payments {
                folder: folder.into(),
            }),
            ["provider"] => Ok(Self::Provider),
            ["support", models, warehouse] => Ok(Self::Support {
                models: models.to_owned(),
                warehouse: warehouse.to_owned(),
            }),
            ["storefront", warehouse, payments, ref brokers @ ..] => Ok(Self::Storefront {
                warehouse: warehouse.to_owned(),
                payments: payments.to_owned(),
                brokers: brokers.first().map(|&servers| servers.to_owned()),
            }),
            _ => Err(format!(
                "expected nothing or --once, found {}",
                words.join(" ")
            )),
        }
    }
}

fn main() -> ExitCode {
    let result = match Role::from_arguments() {
        Ok(Role::Customers { once }) => processes::run(once),
        Ok(Role::Warehouse { folder, brokers }) => {
            service::run("warehouse", warehouse::router(folder, brokers))
        }
        Ok(Role::Payments { folder }) => service::run("payments", payments::router(folder)),
        Ok(Role::Provider) => provider::run(),
        Ok(Role::Support { models, warehouse }) => {
            service::run("support", support::router(models, warehouse))
        }
        Ok(Role::Storefront {
            warehouse,
            payments,
            brokers,
        }) => service::run(
            "storefront",
            storefront::router(warehouse, payments, brokers),
        ),
        Err(message) => Err(message.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}
