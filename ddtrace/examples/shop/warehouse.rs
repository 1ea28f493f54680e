//! The warehouse: what there is, and what is set aside for whom.

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ddtrace::trace;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use crate::messages::Parcel;
use crate::service::{self, Database, Error};

const SCHEMA: &str = "
    CREATE TABLE stock (sku TEXT PRIMARY KEY, title TEXT NOT NULL, cents INTEGER NOT NULL, pieces INTEGER NOT NULL CHECK (pieces >= 0));
    CREATE TABLE reservations (order_id INTEGER NOT NULL, sku TEXT NOT NULL, pieces INTEGER NOT NULL, PRIMARY KEY (order_id, sku));
    INSERT INTO stock VALUES
        ('kettle', 'Kettle, 1.7 l', 3990, 200), ('teapot', 'Teapot, blue', 2450, 200), ('cup', 'Cup', 690, 900),
        ('sieve', 'Tea sieve', 450, 300), ('oolong', 'Oolong, 100 g', 1290, 300), ('sencha', 'Sencha, 100 g', 1090, 6);
";

/// What there is to buy.
pub(crate) const GOODS: [&str; 6] = ["kettle", "teapot", "cup", "sieve", "oolong", "sencha"];

/// One kind of thing in the warehouse.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stock {
    pub sku: String,
    pub title: String,
    pub cents: i64,
    pub pieces: i64,
}

impl FromRow<'_, SqliteRow> for Stock {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sku: row.try_get("sku")?,
            title: row.try_get("title")?,
            cents: row.try_get("cents")?,
            pieces: row.try_get("pieces")?,
        })
    }
}

/// What an order needs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Line {
    pub sku: String,
    pub pieces: i64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reservation {
    pub order_id: i64,
    pub lines: Vec<Line>,
}

/// Why the warehouse could not do it.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("there is no {0}")]
    Unknown(String),
    #[error("there are not enough of {0}")]
    SoldOut(String),
    #[error("the stock could not be read or written")]
    Database(#[from] sqlx::Error),
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::SoldOut(_) => StatusCode::CONFLICT,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

/// Opens the warehouse.
pub(crate) async fn router(folder: PathBuf, brokers: Option<String>) -> Result<Router, Error> {
    let database = service::database(&folder, "warehouse.db", SCHEMA).await?;
    tokio::spawn(restock_for_ever(database.clone()));
    pack_what_is_ordered(&database, brokers)?;
    Ok(Router::new()
        .route("/stock", get(list))
        .route("/stock/{sku}", get(look_up))
        .route("/reservations", post(reserve))
        .route("/reservations/{order_id}", delete(release))
        .route("/parcels", post(pack_one))
        .with_state(database))
}

#[trace]
async fn list(State(database): State<Database>) -> Result<Json<Vec<Stock>>, Trouble> {
    let stock = sqlx::query_as("SELECT sku, title, cents, pieces FROM stock ORDER BY title")
        .fetch_all(&database)
        .await?;
    Ok(Json(stock))
}

#[trace(tags(sku = sku.as_str()), err(handled))]
async fn look_up(
    State(database): State<Database>,
    Path(sku): Path<String>,
) -> Result<Json<Stock>, Trouble> {
    let stock = sqlx::query_as("SELECT sku, title, cents, pieces FROM stock WHERE sku = ?")
        .bind(&sku)
        .fetch_optional(&database)
        .await?;
    stock.map(Json).ok_or(Trouble::Unknown(sku))
}

/// Sets everything aside or nothing.
#[trace]
async fn reserve(
    State(database): State<Database>,
    Json(reservation): Json<Reservation>,
) -> Result<StatusCode, Trouble> {
    let mut transaction = database.begin().await?;
    for line in &reservation.lines {
        let taken =
            sqlx::query("UPDATE stock SET pieces = pieces - ? WHERE sku = ? AND pieces >= ?")
                .bind(line.pieces)
                .bind(&line.sku)
                .bind(line.pieces)
                .execute(&mut *transaction)
                .await?;
        if taken.rows_affected() == 0 {
            transaction.rollback().await?;
            return Err(Trouble::SoldOut(line.sku.clone()));
        }
        sqlx::query("INSERT INTO reservations VALUES (?, ?, ?)")
            .bind(reservation.order_id)
            .bind(&line.sku)
            .bind(line.pieces)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(StatusCode::CREATED)
}

/// Puts back what was set aside for an order that came to nothing.
#[trace]
async fn release(
    State(database): State<Database>,
    Path(order_id): Path<i64>,
) -> Result<StatusCode, Trouble> {
    let mut transaction = database.begin().await?;
    sqlx::query(
        "UPDATE stock SET pieces = pieces + (SELECT pieces FROM reservations r WHERE r.sku = stock.sku AND order_id = ?)
         WHERE sku IN (SELECT sku FROM reservations WHERE order_id = ?)",
    )
    .bind(order_id)
    .bind(order_id)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM reservations WHERE order_id = ?")
        .bind(order_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts what was set aside for an order into a parcel.
#[trace(tags(order_id = parcel.order_id))]
async fn pack(database: &Database, parcel: Parcel) -> Result<(), Trouble> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    sqlx::query("DELETE FROM reservations WHERE order_id = ?")
        .bind(parcel.order_id)
        .execute(database)
        .await?;
    Ok(())
}

async fn pack_one(
    State(database): State<Database>,
    Json(parcel): Json<Parcel>,
) -> Result<StatusCode, Trouble> {
    pack(&database, parcel).await?;
    Ok(StatusCode::CREATED)
}

/// Packs as orders come by Kafka.
#[cfg(feature = "kafka")]
fn pack_what_is_ordered(database: &Database, brokers: Option<String>) -> Result<(), Error> {
    use crate::kafka::{Receiver, Sender};
    use crate::messages::{ORDERS, PARCELS, work_off};

    let servers = brokers.ok_or("expected brokers as the last argument")?;
    let packed = Sender::to(PARCELS, &servers)?;
    let database = database.clone();
    let orders = Receiver::of(ORDERS, "warehouse", &servers)?;
    tokio::spawn(work_off(orders, move |parcel| {
        let (database, packed) = (database.clone(), packed.clone());
        async move {
            pack(&database, parcel).await?;
            packed.send(&parcel).await
        }
    }));
    Ok(())
}

/// Without Kafka the storefront asks.
#[cfg(not(feature = "kafka"))]
fn pack_what_is_ordered(_: &Database, _: Option<String>) -> Result<(), Error> {
    Ok(())
}

async fn restock_for_ever(database: Database) {
    let mut deliveries = tokio::time::interval(Duration::from_millis(1500));
    loop {
        deliveries.tick().await;
        if let Err(error) = restock(&database).await {
            ddtrace::error::handled(&error);
        }
    }
}

/// Nobody asked for it: a trace of its own.
#[trace(root, resource = "delivery")]
async fn restock(database: &Database) -> Result<(), Trouble> {
    let short: Vec<String> = sqlx::query_scalar("SELECT sku FROM stock WHERE pieces < 3")
        .fetch_all(database)
        .await?;
    for sku in &short {
        sqlx::query("UPDATE stock SET pieces = pieces + 12 WHERE sku = ?")
            .bind(sku)
            .execute(database)
            .await?;
    }
    ddtrace::current_span().set_tag("restocked", short.len());
    Ok(())
}
