//! `#[trace]` on `impl` blocks and modules.

use std::fmt;

use super::harness::{Case, block_on, tick};
use super::trace;

#[derive(Clone, Default)]
pub(crate) struct Cart<T> {
    items: Vec<T>,
}

#[trace(service = "carts")]
impl<T: Clone + fmt::Debug> Cart<T> {
    const LIMIT: usize = { 2 };

    const fn limit() -> usize {
        Self::LIMIT
    }

    fn push(&mut self, item: T) -> Result<usize, String> {
        if self.items.len() == Self::limit() {
            return Err("full".to_owned());
        }
        self.items.push(item);
        Ok(self.items.len())
    }

    #[trace(skip)]
    fn quick(&self) -> usize {
        self.items.len()
    }

    #[trace(name = "cart.pay", tags(items = self.items.len()))]
    async fn pay(&self) -> usize {
        tick().await;
        self.quick()
    }
}

#[trace]
impl<T> fmt::Display for Cart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cart of {}", self.items.len())
    }
}

#[trace(include(from))]
impl<T> From<T> for Cart<T> {
    fn from(item: T) -> Self {
        Cart { items: vec![item] }
    }
}

trait Shop {
    fn open(&self) -> bool;
    fn close(&self) -> bool {
        false
    }
}

#[trace]
impl<T> Shop for Cart<T> {
    fn open(&self) -> bool {
        !self.close()
    }
}

#[trace]
mod work {
    pub(super) const STEPS: u8 = 2;

    pub(super) struct Worker(pub(super) u8);

    impl Worker {
        pub(super) fn run(&self) -> u8 {
            helper(self.0) + nested::deep() + asked::deep()
        }
    }

    fn helper(n: u8) -> u8 {
        n * STEPS
    }

    mod nested {
        pub(super) fn deep() -> u8 {
            1
        }
    }

    #[trace]
    mod asked {
        pub(super) fn deep() -> u8 {
            1
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn tests_are_not_traced() {
            assert_eq!(super::helper(1), 2);
        }
    }
}

#[trace(recursive)]
mod all {
    pub(super) mod nested {
        pub(in super::super) fn deep() -> u8 {
            deeper::deepest()
        }

        mod deeper {
            pub(super) fn deepest() -> u8 {
                3
            }
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "impl block",
            run: || {
                let mut cart = Cart::default();
                let pushed = [cart.push(1), cart.push(2), cart.push(3)];
                format!("{pushed:?}{}{}", cart.quick(), block_on(cart.pay()))
            },
            spans: &["Cart::push", "Cart::push", "Cart::push!full", "cart.pay items=2"],
        },
        Case {
            name: "implementations of traits",
            run: || format!("{} {}", Cart::from(1), Cart::<u8>::default().open()),
            spans: &["Cart::from", "Cart::open"],
        },
        Case {
            name: "module",
            run: || work::Worker(3).run().to_string(),
            spans: &["work::Worker::run", "work::Worker::run/work::helper", "work::Worker::run/work::asked::deep"],
        },
        Case {
            name: "module with all inside",
            run: || all::nested::deep().to_string(),
            spans: &["all::nested::deep", "all::nested::deep/all::nested::deeper::deepest"],
        },
    ]
}
