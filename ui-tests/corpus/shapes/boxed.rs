//! Functions that return futures, boxed by hand, by `async_trait`, or opaque.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::harness::{Case, block_on, tick};
use super::trace;
use crate::is_send;

async fn length(text: String) -> Result<usize, String> {
    tick().await;
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    Ok(text.len())
}

#[trace]
fn boxed(text: String) -> Pin<Box<dyn Future<Output = Result<usize, String>> + Send>> {
    Box::pin(async move {
        let n = length(text).await?;
        Ok(n)
    })
}

#[trace]
fn boxed_after_statements<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = Result<usize, String>> + 'a>> {
    let text = text.trim().to_owned();
    Box::pin(async move { length(text).await })
}

#[trace]
fn boxed_early(text: &str) -> BoxFuture<'static, Result<usize, String>> {
    if text == "?" {
        return std::future::ready(Err("unknown".to_owned())).boxed();
    }
    let text = text.to_owned();
    Box::pin(async move { length(text).await })
}

#[trace]
fn opaque(text: String) -> impl Future<Output = Result<usize, String>> + Send {
    length(text)
}

#[trace]
fn opaque_block(text: &str) -> impl Future<Output = Result<usize, String>> + '_ {
    let trimmed = text.trim();
    async move { length(trimmed.to_owned()).await }
}

#[trace(tags(text = text))]
fn opaque_with_tags(text: String) -> impl Future<Output = usize> {
    let text = text + "!";
    async move { text.len() }
}

type Alias<T> = Pin<Box<dyn Future<Output = T>>>;

#[trace(future)]
fn behind_an_alias(n: u8) -> Alias<Result<u8, String>> {
    Box::pin(async move { if n == 0 { Err("zero".to_owned()) } else { Ok(n) } })
}

#[async_trait]
trait Above {
    async fn load(&self, key: &str) -> Result<usize, String>;
    async fn nothing(&self);
    async fn provided(&self, key: String) -> usize {
        self.load(&key).await.unwrap_or(0)
    }
}

struct Store;

#[async_trait]
impl Above for Store {
    #[trace]
    async fn load(&self, key: &str) -> Result<usize, String> {
        let n = length(key.to_owned()).await?;
        Ok(n)
    }

    #[trace]
    async fn nothing(&self) {
        tick().await;
    }
}

#[async_trait(?Send)]
trait Below {
    async fn load(&self, key: &str, copy: String) -> Result<usize, String>;
}

#[trace]
#[async_trait(?Send)]
impl Below for Store {
    async fn load(&self, key: &str, copy: String) -> Result<usize, String> {
        let n = length(key.to_owned()).await?;
        Ok(n + copy.len())
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "box at the end",
            run: || format!("{:?}{:?}", block_on(boxed("ab".into())), block_on(boxed(String::new()))),
            spans: &["boxed", "boxed!empty"],
        },
        Case {
            name: "box after statements",
            run: || format!("{:?}{:?}", block_on(boxed_after_statements(" a ")), block_on(boxed_after_statements(""))),
            spans: &["boxed_after_statements", "boxed_after_statements!empty"],
        },
        Case {
            name: "boxes at several ends",
            run: || ["?", "", "a"].map(|text| format!("{:?}", block_on(boxed_early(text)))).join(""),
            spans: &["boxed_early!unknown", "boxed_early!empty", "boxed_early"],
        },
        Case {
            name: "opaque future",
            run: || {
                let sent = [is_send!(opaque(String::new())), is_send!(boxed(String::new()))];
                format!("{sent:?}{:?}{:?}", block_on(opaque("a".into())), block_on(opaque_block(" ")))
            },
            spans: &["opaque", "opaque_block!empty"],
        },
        Case {
            name: "opaque future with tags",
            run: || block_on(opaque_with_tags("a".into())).to_string(),
            spans: &["opaque_with_tags text=a"],
        },
        Case {
            name: "alias of a boxed future",
            run: || format!("{:?}{:?}", block_on(behind_an_alias(0)), block_on(behind_an_alias(1))),
            spans: &["behind_an_alias!zero", "behind_an_alias"],
        },
        Case {
            name: "async_trait around the attribute",
            run: || {
                block_on(Store.nothing());
                let results = [Above::load(&Store, "ab"), Above::load(&Store, "")].map(block_on);
                format!("{results:?}{}", block_on(Store.provided("abc".into())))
            },
            spans: &["nothing", "load", "load!empty", "load"],
        },
        Case {
            name: "async_trait below the attribute",
            run: || format!("{:?}{:?}", block_on(Below::load(&Store, "a", "b".into())), block_on(Below::load(&Store, "", "b".into()))),
            spans: &["Store::load", "Store::load!empty"],
        },
    ]
}
