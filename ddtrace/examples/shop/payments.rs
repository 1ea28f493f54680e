//! Payments: checks for fraud, charges a card, and settles in the background.

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ddtrace::trace;
use serde::{Deserialize, Serialize};

use crate::service::{self, Database, Error};

const SCHEMA: &str = "
    CREATE TABLE charges (order_id INTEGER PRIMARY KEY, card TEXT NOT NULL, cents INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0);
";

/// A card that the bank refuses.
pub(crate) const DECLINED_CARD: &str = "4000-0000-0000-0002";

/// A card that somebody else has lost.
pub(crate) const STOLEN_CARD: &str = "4100-0000-0000-0019";

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Charge {
    pub order_id: i64,
    pub card: String,
    pub cents: i64,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the bank declined the card")]
    Declined,
    #[error("the card was reported stolen")]
    Fraud,
    #[error("the charge could not be written down")]
    Database(#[from] sqlx::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Declined | Self::Fraud => StatusCode::PAYMENT_REQUIRED,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

/// Opens for business.
pub(crate) async fn router(folder: PathBuf) -> Result<Router, Error> {
    let database = service::database(&folder, "payments.db", SCHEMA).await?;
    tokio::spawn(settle_for_ever(database.clone()));
    Ok(Router::new()
        .route("/charges", post(charge))
        .with_state(database))
}

#[trace(tags(order_id = charge.order_id, cents = charge.cents))]
async fn charge(
    State(database): State<Database>,
    Json(charge): Json<Charge>,
) -> Result<StatusCode, Refusal> {
    let (fraud, bank) = tokio::join!(check_fraud(&charge.card), ask_bank(&charge));
    fraud?;
    bank?;
    sqlx::query("INSERT INTO charges (order_id, card, cents) VALUES (?, ?, ?)")
        .bind(charge.order_id)
        .bind(&charge.card[charge.card.len() - 4..])
        .bind(charge.cents)
        .execute(&database)
        .await?;
    Ok(StatusCode::CREATED)
}

#[trace]
async fn check_fraud(card: &str) -> Result<(), Refusal> {
    tokio::time::sleep(Duration::from_millis(3)).await;
    if card == STOLEN_CARD {
        Err(Refusal::Fraud)
    } else {
        Ok(())
    }
}

/// The bank takes longer for more money.
#[trace]
async fn ask_bank(charge: &Charge) -> Result<(), Refusal> {
    tokio::time::sleep(Duration::from_micros(
        4_000 + charge.cents.unsigned_abs() % 20_000,
    ))
    .await;
    // The bug: nobody thought of an order that costs nothing.
    let installments = 12 * charge.cents / charge.cents;
    if charge.card == DECLINED_CARD || installments == 0 {
        Err(Refusal::Declined)
    } else {
        Ok(())
    }
}

async fn settle_for_ever(database: Database) {
    let mut evenings = tokio::time::interval(Duration::from_secs(1));
    loop {
        evenings.tick().await;
        if let Err(error) = settle(&database).await {
            ddtrace::error::handled(&error);
        }
    }
}

/// Nobody asked for it: a trace of its own.
#[trace(root, resource = "end of day")]
async fn settle(database: &Database) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin().await?;
    let settled = sqlx::query("UPDATE charges SET settled = 1 WHERE settled = 0")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    ddtrace::current_span().set_tag("settled", settled.rows_affected());
    Ok(())
}
