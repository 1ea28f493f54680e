//! Methods, with `self` in all its forms, and implementations of traits.

use std::ops::Add;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::harness::Case;
use super::trace;

#[derive(Clone, Debug, Default)]
struct Cart {
    items: Vec<u32>,
}

impl Cart {
    const LIMIT: usize = 3;

    #[trace]
    fn new() -> Self {
        Self::default()
    }

    #[trace]
    fn len(&self) -> usize {
        self.items.len()
    }

    #[trace]
    fn push(&mut self, item: u32) -> Result<&mut Self, String> {
        if self.items.len() == Self::LIMIT {
            return Err("full".to_owned());
        }
        self.items.push(item);
        Ok(self)
    }

    #[trace]
    fn first(&mut self) -> Option<&mut u32> {
        let first = self.items.first_mut()?;
        *first += 1;
        Some(first)
    }

    #[trace]
    fn longest<'a>(&'a self, other: &'a [u32]) -> &'a [u32] {
        if other.len() > self.items.len() {
            return other;
        }
        &self.items
    }

    #[trace]
    fn with(mut self, item: u32) -> Self {
        self.items.push(item);
        self
    }

    #[trace]
    fn sum(self) -> u32 {
        self.items.into_iter().sum()
    }

    #[trace]
    #[allow(clippy::boxed_local)]
    fn boxed(self: Box<Self>) -> usize {
        self.items.len()
    }

    #[trace]
    fn counted(self: Rc<Self>) -> usize {
        Rc::strong_count(&self)
    }

    #[trace]
    fn shared(self: &Arc<Self>) -> usize {
        Arc::strong_count(self)
    }

    #[trace]
    fn pinned(self: Pin<&mut Self>) -> usize {
        let this = self.get_mut();
        this.items.push(9);
        this.items.len()
    }

    #[trace]
    #[allow(clippy::needless_arbitrary_self_type)]
    fn typed(self: &Self) -> usize {
        self.items.len()
    }

    #[trace]
    fn visit(&self, mut f: impl FnMut(&u32)) {
        self.items.iter().for_each(&mut f);
    }

    #[trace]
    fn checked(&mut self, at: usize) -> Result<&mut u32, String> {
        let len = self.items.len();
        self.items.get_mut(at).ok_or_else(|| format!("{at} of {len}"))
    }

    #[trace]
    fn checked_twice(&mut self, at: usize) -> Result<&mut u32, String> {
        self.checked(at)?;
        let slot = self.checked(at)?;
        *slot += 1;
        Ok(slot)
    }
}

trait Shop {
    type Item;

    fn price(&self, item: &Self::Item) -> u32;

    #[trace]
    fn total(&self, items: &[Self::Item]) -> u32
    where
        Self: Sized,
    {
        items.iter().map(|item| self.price(item)).sum()
    }

    #[trace]
    fn name(&self) -> String {
        "shop".to_owned()
    }
}

struct Bakery;

impl Shop for Bakery {
    type Item = &'static str;

    #[trace]
    fn price(&self, item: &Self::Item) -> u32 {
        item.len() as u32
    }
}

impl<T: Shop + ?Sized> Shop for Box<T> {
    type Item = T::Item;

    #[trace]
    fn price(&self, item: &Self::Item) -> u32 {
        (**self).price(item) + 1
    }
}

impl Add for Cart {
    type Output = Cart;

    #[trace]
    fn add(mut self, other: Cart) -> Cart {
        self.items.extend(other.items);
        self
    }
}

impl TryFrom<u32> for Cart {
    type Error = String;

    #[trace]
    fn try_from(n: u32) -> Result<Self, Self::Error> {
        if n == 0 {
            return Err("nothing".to_owned());
        }
        Ok(Cart { items: vec![n] })
    }
}

impl Iterator for Cart {
    type Item = u32;

    #[trace]
    fn next(&mut self) -> Option<u32> {
        self.items.pop()
    }
}

fn cart(items: &[u32]) -> Cart {
    Cart {
        items: items.to_vec(),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "associated function",
            run: || Cart::new().items.len().to_string(),
            spans: &["new"],
        },
        Case {
            name: "shared receiver",
            run: || cart(&[1]).len().to_string(),
            spans: &["len"],
        },
        Case {
            name: "receiver handed on by a fallible method",
            run: || {
                let mut cart = cart(&[1]);
                let full = cart.push(2).and_then(|cart| cart.push(3)).and_then(|cart| cart.push(4));
                format!("{:?}", full.map(|cart| cart.items.len()))
            },
            spans: &["push", "push", "push!full"],
        },
        Case {
            name: "reference into the receiver",
            run: || {
                let mut one = cart(&[1]);
                *one.first().unwrap() += 1;
                format!("{:?} {:?}", one.items, cart(&[]).first())
            },
            spans: &["first", "first"],
        },
        Case {
            name: "named lifetime",
            run: || format!("{:?}", cart(&[1]).longest(&[1, 2])),
            spans: &["longest"],
        },
        Case {
            name: "builder",
            run: || cart(&[1]).with(2).with(3).sum().to_string(),
            spans: &["with", "with", "sum"],
        },
        Case {
            name: "smart pointers as receivers",
            run: || {
                let shared = Arc::new(cart(&[]));
                let counts = [
                    Box::new(cart(&[1])).boxed(),
                    Rc::new(cart(&[])).counted(),
                    shared.shared(),
                    Pin::new(&mut cart(&[])).pinned(),
                    cart(&[]).typed(),
                ];
                format!("{counts:?}")
            },
            spans: &["boxed", "counted", "shared", "pinned", "typed"],
        },
        Case {
            name: "closure as an argument",
            run: || {
                let mut seen = Vec::new();
                cart(&[1, 2]).visit(|item| seen.push(*item));
                format!("{seen:?}")
            },
            spans: &["visit"],
        },
        Case {
            name: "mutable reference out of a fallible method",
            run: || {
                let mut cart = cart(&[1]);
                *cart.checked_twice(0).unwrap() += 5;
                format!("{:?} {:?}", cart.items.clone(), cart.checked_twice(1))
            },
            spans: &[
                "checked_twice",
                "checked_twice/checked",
                "checked_twice/checked",
                "checked_twice!1 of 1",
                "checked_twice/checked!1 of 1",
            ],
        },
        Case {
            name: "default and provided methods of a trait",
            run: || format!("{}{}", Bakery.total(&["a", "bc"]), Bakery.name()),
            spans: &["total", "total/price", "total/price", "name"],
        },
        Case {
            name: "generic implementation of a trait",
            run: || Box::new(Bakery).price(&"a").to_string(),
            spans: &["price", "price/price"],
        },
        Case {
            name: "operator",
            run: || format!("{:?}", (cart(&[1]) + cart(&[2])).items),
            spans: &["add"],
        },
        Case {
            name: "conversion that fails",
            run: || format!("{:?} {:?}", Cart::try_from(0).map(|cart| cart.items), Cart::try_from(1).map(|cart| cart.items)),
            spans: &["try_from!nothing", "try_from"],
        },
        Case {
            name: "iterator",
            run: || cart(&[1, 2]).sum().to_string(),
            spans: &["sum"],
        },
    ]
}
