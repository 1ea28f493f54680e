//! The storefront: what customers talk to. It owns no data, it asks the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ddtrace::reqwest::RequestBuilderExt as _;
use ddtrace::trace;
use serde::{Deserialize, Serialize};

use crate::messages::{self, ORDERS, PARCELS, Parcel};
use crate::payments::Charge;
use crate::service::Error;
use crate::warehouse::{Line, Reservation, Stock};

#[cfg(not(feature = "kafka"))]
use crate::channel::{self, Sender};
#[cfg(feature = "kafka")]
use crate::kafka::{Receiver, Sender};

/// A customer's order.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub lines: Vec<Line>,
    pub card: String,
    pub voucher: Option<String>,
}

/// The voucher that makes an order free of charge, which payments did not expect.
pub(crate) const FREE_VOUCHER: &str = "TEA-FOR-FREE";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no such product")]
    NotFound,
    #[error("sold out")]
    SoldOut,
    #[error("the payment was refused: {0}")]
    Refused(String),
    #[error("{service} answered {status}")]
    Unexpected {
        service: &'static str,
        status: StatusCode,
    },
    #[error("{service} did not answer")]
    Unreachable {
        service: &'static str,
        source: reqwest::Error,
    },
    #[error("the order was not handed on: {0}")]
    Unsent(Error),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::SoldOut => StatusCode::CONFLICT,
            Self::Refused(_) => StatusCode::PAYMENT_REQUIRED,
            Self::Unexpected { .. } | Self::Unreachable { .. } | Self::Unsent(_) => {
                StatusCode::BAD_GATEWAY
            }
        };
        (status, self.to_string()).into_response()
    }
}

/// The services behind the shop.
#[derive(Clone)]
struct Backends {
    client: reqwest::Client,
    warehouse: String,
    payments: String,
}

/// The services, and what the counter needs.
struct Counter {
    services: Backends,
    next_order: AtomicI64,
    orders: Sender,
}

impl std::ops::Deref for Counter {
    type Target = Backends;

    fn deref(&self) -> &Backends {
        &self.services
    }
}

type Shop = Arc<Counter>;

/// Opens the shop in front of these services.
pub(crate) async fn router(
    warehouse: String,
    payments: String,
    brokers: Option<String>,
) -> Result<Router, Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    let services = Backends {
        client,
        warehouse,
        payments,
    };
    let orders = open_messages(&services, brokers)?;
    let shop = Arc::new(Counter {
        services,
        next_order: AtomicI64::new(1),
        orders,
    });
    Ok(Router::new()
        .route("/products", get(products))
        .route("/products/{sku}", get(product))
        .route("/orders", post(order))
        .route("/report", get(report))
        .with_state(shop))
}

#[trace]
async fn products(State(shop): State<Shop>) -> Result<Json<Vec<Stock>>, Failure> {
    shop.stock().await.map(Json)
}

#[trace(tags(sku = sku.as_str()), err(handled))]
async fn product(
    State(shop): State<Shop>,
    Path(sku): Path<String>,
) -> Result<Json<Stock>, Failure> {
    let response = ask(
        "warehouse",
        shop.client
            .get(format!("http://{}/stock/{sku}", shop.warehouse)),
    )
    .await?;
    match response.status() {
        StatusCode::OK => read("warehouse", response).await.map(Json),
        StatusCode::NOT_FOUND => Err(Failure::NotFound),
        status => Err(Failure::Unexpected {
            service: "warehouse",
            status,
        }),
    }
}

#[trace(tags(lines = order.lines.len()))]
async fn order(State(shop): State<Shop>, Json(order): Json<Order>) -> Result<Response, Failure> {
    let order_id = shop.next_order.fetch_add(1, Ordering::Relaxed);
    let cents = price(&order, &shop.stock().await?);
    shop.reserve(order_id, order.lines).await?;
    if let Err(failure) = shop.charge(order_id, order.card, cents).await {
        // The customer hears of it, and nothing stays set aside.
        shop.release(order_id).await?;
        ddtrace::error::handled(&failure);
        return Ok(failure.into_response());
    }
    // It is paid: what is still to be done does not hold the customer up.
    if let Err(error) = shop.orders.send(&Parcel { order_id }).await {
        ddtrace::error::handled(&Failure::Unsent(error));
    }
    // Inside a traced function the active span goes along.
    tokio::spawn(thank(order_id));
    Ok((StatusCode::CREATED, Json(order_id)).into_response())
}

#[trace]
fn price(order: &Order, stock: &[Stock]) -> i64 {
    if order.voucher.as_deref() == Some(FREE_VOUCHER) {
        return 0;
    }
    let cents = |line: &Line| {
        stock
            .iter()
            .find(|stock| stock.sku == line.sku)
            .map_or(0, |stock| stock.cents * line.pieces)
    };
    order.lines.iter().map(cents).sum()
}

/// Writes to the customer after the answer is out.
#[trace(tags(order_id = order_id))]
async fn thank(order_id: i64) {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Writes to the customer that the parcel is on its way.
#[trace(tags(order_id = parcel.order_id))]
async fn announce(parcel: Parcel) -> Result<(), Error> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}

/// Opens the way by which orders leave; parcels are announced as they come.
#[cfg(feature = "kafka")]
fn open_messages(_: &Backends, brokers: Option<String>) -> Result<Sender, Error> {
    let servers = brokers.ok_or("expected brokers as the last argument")?;
    let parcels = Receiver::of(PARCELS, "storefront", &servers)?;
    tokio::spawn(messages::work_off(parcels, announce));
    Sender::to(ORDERS, &servers)
}

/// The same within the process: packing is asked for here, too.
#[cfg(not(feature = "kafka"))]
fn open_messages(services: &Backends, _: Option<String>) -> Result<Sender, Error> {
    let (orders, placed) = channel::open(ORDERS);
    let (packed, parcels) = channel::open(PARCELS);
    let services = services.clone();
    tokio::spawn(messages::work_off(placed, move |parcel| {
        let (services, packed) = (services.clone(), packed.clone());
        async move {
            services.pack(parcel).await?;
            packed.send(&parcel).await
        }
    }));
    tokio::spawn(messages::work_off(parcels, announce));
    Ok(orders)
}

/// The slow path: sums up the whole catalogue, on a thread for such things.
#[trace]
async fn report(State(shop): State<Shop>) -> Result<Json<i64>, Failure> {
    let stock = shop.stock().await?;
    let worth = tokio::task::spawn_blocking(move || worth(&stock))
        .await
        .unwrap_or_default();
    Ok(Json(worth))
}

#[trace(tags(kinds = stock.len()))]
fn worth(stock: &[Stock]) -> i64 {
    std::thread::sleep(Duration::from_millis(250));
    stock.iter().map(|stock| stock.cents * stock.pieces).sum()
}

impl Backends {
    async fn stock(&self) -> Result<Vec<Stock>, Failure> {
        let response = ask(
            "warehouse",
            self.client.get(format!("http://{}/stock", self.warehouse)),
        )
        .await?;
        read("warehouse", response).await
    }

    #[trace(name = "order.reserve")]
    async fn reserve(&self, order_id: i64, lines: Vec<Line>) -> Result<(), Failure> {
        let request = self
            .client
            .post(format!("http://{}/reservations", self.warehouse));
        let response = ask("warehouse", request.json(&Reservation { order_id, lines })).await?;
        match response.status() {
            StatusCode::CREATED => Ok(()),
            StatusCode::CONFLICT => Err(Failure::SoldOut),
            status => Err(Failure::Unexpected {
                service: "warehouse",
                status,
            }),
        }
    }

    #[cfg(not(feature = "kafka"))]
    #[trace(name = "order.pack")]
    async fn pack(&self, parcel: Parcel) -> Result<(), Failure> {
        let request = self
            .client
            .post(format!("http://{}/parcels", self.warehouse));
        let response = ask("warehouse", request.json(&parcel)).await?;
        match response.status() {
            StatusCode::CREATED => Ok(()),
            status => Err(Failure::Unexpected {
                service: "warehouse",
                status,
            }),
        }
    }

    #[trace(name = "order.release")]
    async fn release(&self, order_id: i64) -> Result<(), Failure> {
        ask(
            "warehouse",
            self.client
                .delete(format!("http://{}/reservations/{order_id}", self.warehouse)),
        )
        .await?;
        Ok(())
    }

    #[trace(name = "order.charge")]
    async fn charge(&self, order_id: i64, card: String, cents: i64) -> Result<(), Failure> {
        let request = self
            .client
            .post(format!("http://{}/charges", self.payments));
        let response = ask(
            "payments",
            request.json(&Charge {
                order_id,
                card,
                cents,
            }),
        )
        .await?;
        match response.status() {
            StatusCode::CREATED => Ok(()),
            StatusCode::PAYMENT_REQUIRED => {
                Err(Failure::Refused(response.text().await.unwrap_or_default()))
            }
            status => Err(Failure::Unexpected {
                service: "payments",
                status,
            }),
        }
    }
}

/// Sends a request in a span of its own; its trace goes on in the other service.
async fn ask(
    service: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, Failure> {
    request
        .send_traced()
        .await
        .map_err(|source| Failure::Unreachable { service, source })
}

async fn read<T: serde::de::DeserializeOwned>(
    service: &'static str,
    response: reqwest::Response,
) -> Result<T, Failure> {
    response
        .json()
        .await
        .map_err(|source| Failure::Unreachable { service, source })
}
