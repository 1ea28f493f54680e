//! Which queue a message came from, for messages that were handed out not long ago.
//!
//! A message says to which exchange it was published and by which routing key, not in which queue it was found, and lapin's type has no
//! place to write it down. A message without an exchange needs none: it was addressed to the queue by name. For others the
//! queue is remembered by the message's own allocation of its exchange's name, which no other message that lives has, and by its
//! number on the channel. The memory is bounded: of a message that is asked about after thousands of others, nothing is known.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use lapin::message::Delivery;

use crate::names;

/// Threads that receive at once should rarely wait for each other.
const SHARDS: usize = 8;

/// Messages that a shard remembers.
const MAX_MESSAGES: usize = 1024;

type Key = (usize, u64);

#[derive(Default)]
struct Shard {
    queues: HashMap<Key, Arc<str>>,
    /// Oldest first.
    order: VecDeque<Key>,
}

static HANDED_OUT: [Mutex<Option<Shard>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];

/// Says where a message was found.
pub(crate) fn remember(delivery: &Delivery, queue: &Arc<str>) {
    if delivery.exchange.as_str().is_empty() {
        return;
    }
    let key = key(delivery);
    let mut shard = shard(key).lock().unwrap_or_else(PoisonError::into_inner);
    shard.get_or_insert_default().remember(key, queue);
}

/// Where a message was found; nothing if it is not known any more.
pub(crate) fn of(delivery: &Delivery) -> Option<Arc<str>> {
    if delivery.exchange.as_str().is_empty() {
        return Some(names::queue(delivery.routing_key.as_str()).into());
    }
    let key = key(delivery);
    let shard = shard(key).lock().unwrap_or_else(PoisonError::into_inner);
    shard.as_ref()?.queues.get(&key).cloned()
}

impl Shard {
    fn remember(&mut self, key: Key, queue: &Arc<str>) {
        if self.queues.insert(key, Arc::clone(queue)).is_some() {
            // Its turn is that of the message before at this place, which is gone.
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MAX_MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.queues.remove(&oldest);
        }
    }
}

fn key(delivery: &Delivery) -> Key {
    let place = delivery.exchange.as_str().as_ptr() as usize;
    (place, delivery.delivery_tag)
}

fn shard((_, tag): Key) -> &'static Mutex<Option<Shard>> {
    &HANDED_OUT[(tag % SHARDS as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(tag: u64, exchange: &str, routing_key: &str) -> Delivery {
        Delivery::mock(tag, exchange.into(), routing_key.into(), false, Vec::new())
    }

    #[test]
    fn two_messages_that_say_the_same_are_told_apart() {
        let (billing, shipping): (Arc<str>, Arc<str>) = ("billing".into(), "shipping".into());
        let (one, other) = (delivery(1, "orders", "new"), delivery(1, "orders", "new"));
        assert_eq!(of(&one), None);
        remember(&one, &billing);
        remember(&other, &shipping);
        // Wherever it is moved to.
        let one = Box::new(one);
        assert_eq!(of(&one), Some(billing));
        assert_eq!(of(&other), Some(shipping));
    }

    #[test]
    fn a_message_to_a_queue_names_it_itself() {
        let direct = delivery(1, "", "orders");
        assert_eq!(of(&direct).as_deref(), Some("orders"));
        let answer = delivery(1, "", "amq.rabbitmq.reply-to.g1h2AA");
        assert_eq!(of(&answer).as_deref(), Some("amq.rabbitmq.reply-to"));
    }

    #[test]
    fn of_many_messages_the_last_are_remembered() {
        let queue: Arc<str> = "q".into();
        let mut shard = Shard::default();
        for number in 0..2 * MAX_MESSAGES {
            shard.remember((number, 1), &queue);
            // Again, as for a message at the place of one that is gone.
            shard.remember((number, 1), &queue);
        }
        assert_eq!(shard.queues.len(), MAX_MESSAGES);
        assert_eq!(shard.order.len(), MAX_MESSAGES);
        assert!(shard.queues.contains_key(&(2 * MAX_MESSAGES - 1, 1)));
        assert!(!shard.queues.contains_key(&(0, 1)));
    }
}
