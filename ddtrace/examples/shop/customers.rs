//! The customers: a load that is the same at every run, because it comes from a seed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::payments::{DECLINED_CARD, STOLEN_CARD};
use crate::service::Error;
use crate::storefront::{FREE_VOUCHER, Order};
use crate::support::Question;
use crate::warehouse::{GOODS, Line};

/// How long the shop is open with `--once`.
const OPEN: Duration = Duration::from_secs(5);

/// The lot that makes a customer ask something.
const QUESTION: u64 = 72;

/// Customers who are in the shop at the same time.
const CROWD: u64 = 4;

/// What the customers did, by the answers they got.
#[derive(Clone, Default)]
pub(crate) struct Visits {
    good: u32,
    refused: u32,
    failed: u32,
    gave_up: u32,
}

impl Visits {
    fn count(&mut self, answer: &Result<reqwest::Response, reqwest::Error>) {
        match answer {
            Ok(response) if response.status().is_server_error() => self.failed += 1,
            Ok(response) if response.status().is_client_error() => self.refused += 1,
            Ok(_) => self.good += 1,
            Err(_) => self.gave_up += 1,
        }
    }
}

impl fmt::Display for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            good,
            refused,
            failed,
            gave_up,
        } = self;
        let all = good + refused + failed + gave_up;
        write!(
            f,
            "{all} requests: {good} served, {refused} refused, {failed} failed, {gave_up} given up"
        )
    }
}

/// Sends customers into the shop: for five seconds, or gently until Ctrl-C.
pub(crate) async fn visit(storefront: &str, support: &str, once: bool) -> Result<Visits, Error> {
    let pause = Duration::from_millis(if once { 15 } else { 400 });
    let closing_time = once.then(|| Instant::now() + OPEN);
    let visits = Arc::new(Mutex::new(Visits::default()));
    let customers = (0..CROWD).map(|seed| Customer::new(storefront, support, seed, pause));
    let strolls: Vec<_> = customers
        .map(|customer| tokio::spawn(customer.stroll(visits.clone(), closing_time)))
        .collect();
    if once {
        for stroll in strolls {
            stroll.await??;
        }
    } else {
        tokio::signal::ctrl_c().await?;
        strolls.iter().for_each(|stroll| stroll.abort());
    }
    let visits = visits.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(visits.clone())
}

struct Customer {
    client: reqwest::Client,
    name: String,
    shop: String,
    support: String,
    dice: Dice,
    pause: Duration,
    /// Whoever comes in asks something first.
    is_new: bool,
}

impl Customer {
    fn new(storefront: &str, support: &str, seed: u64, pause: Duration) -> Self {
        Self {
            client: reqwest::Client::new(),
            name: format!("customer-{seed}"),
            shop: format!("http://{storefront}"),
            support: format!("http://{support}"),
            dice: Dice(0x7ea_5107 + seed),
            pause,
            is_new: true,
        }
    }

    async fn stroll(
        mut self,
        visits: Arc<Mutex<Visits>>,
        closing_time: Option<Instant>,
    ) -> Result<(), reqwest::Error> {
        while closing_time.is_none_or(|closing_time| Instant::now() < closing_time) {
            let answer = self.ask().await;
            visits
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .count(&answer);
            if let Err(error) = answer.map(drop) {
                // Whoever gives up comes back; whoever finds the door closed does not.
                if !error.is_timeout() {
                    return Err(error);
                }
            }
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    /// One request, drawn by lot.
    async fn ask(&mut self) -> Result<reqwest::Response, reqwest::Error> {
        let sku = GOODS[self.dice.below(6) as usize];
        let draw = if std::mem::take(&mut self.is_new) {
            QUESTION
        } else {
            self.dice.below(100)
        };
        let request = match draw {
            0..35 => self.client.get(format!("{}/products", self.shop)),
            35..60 => self.client.get(format!(
                "{}/products/{sku}?token=not-for-the-trace",
                self.shop
            )),
            60..64 => self.client.get(format!("{}/products/samovar", self.shop)),
            64..66 => self.client.get(format!("{}/favicon.ico", self.shop)),
            66..70 => self.client.get(format!("{}/report", self.shop)),
            70..72 => self
                .client
                .get(format!("{}/report", self.shop))
                .timeout(Duration::from_millis(60)),
            QUESTION..76 => {
                let text = match self.dice.below(8) {
                    0..3 => format!("Do you still have the {sku}?"),
                    3..5 => "How long does a parcel take?".to_owned(),
                    5 => "Can I send back what I have not opened?".to_owned(),
                    6 => "How hot should the water for green tea be?".to_owned(),
                    _ => "Where is my refund?".to_owned(),
                };
                let customer = self.name.clone();
                let question = Question { customer, text };
                let questions = format!("{}/questions", self.support);
                self.client.post(questions).json(&question)
            }
            _ => {
                let card = match self.dice.below(20) {
                    0..2 => DECLINED_CARD,
                    2 => STOLEN_CARD,
                    _ => "4242-4242-4242-4242",
                };
                let voucher = (self.dice.below(25) == 0).then(|| FREE_VOUCHER.to_owned());
                let lines = vec![
                    Line {
                        sku: sku.to_owned(),
                        pieces: 1 + self.dice.below(3) as i64,
                    },
                    Line {
                        sku: "cup".to_owned(),
                        pieces: 1,
                    },
                ];
                // The same thing twice in one order is a case that the warehouse forgot: its database refuses it.
                let order = Order {
                    lines,
                    card: card.to_owned(),
                    voucher,
                };
                self.client
                    .post(format!("{}/orders", self.shop))
                    .json(&order)
            }
        };
        request.send().await
    }
}

/// Seeded numbers, by splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
