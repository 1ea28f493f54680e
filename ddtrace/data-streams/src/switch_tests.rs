//! The queue between threads that pass checkpoints and the worker.

use std::sync::Barrier;

use super::*;
use crate::bucket::Rare;
use crate::test_support::turn;
use crate::time::Nanoseconds;
use crate::transaction::Transaction;

fn numbered(number: usize) -> Observation {
    let transaction = Transaction {
        id: number.to_string().into(),
        checkpoint: "c".into(),
        at: Nanoseconds::new(0),
    };
    Rare::Transaction(transaction).into()
}

fn number(observation: &Observation) -> usize {
    let Observation::Rare(rare) = observation else {
        panic!("{observation:?}");
    };
    match &**rare {
        Rare::Transaction(it) => it.id.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Nothing is lost without being counted, nothing comes twice, and what one thread hands over stays in order, with more threads than
/// the machine has processors and more observations than the queue has places.
#[test]
fn what_several_threads_hand_over_arrives_once_and_in_order() {
    const THREADS: usize = 8;
    const EACH: usize = 20_000;
    let running = Running::new(Node::new("s", None, None, ""), true);
    let waiting = running.take_waiting().unwrap();
    let begin = Barrier::new(THREADS + 1);
    let mut seen = vec![Vec::new(); THREADS];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (running, begin) = (&running, &begin);
                scope.spawn(move || {
                    begin.wait();
                    for at in 0..EACH {
                        running.observe(numbered(thread * EACH + at));
                    }
                })
            })
            .collect();
        begin.wait();
        let mut take = || {
            while let Some(observation) = waiting.next() {
                let number = number(&observation);
                seen[number / EACH].push(number % EACH);
            }
        };
        while !threads.iter().all(|thread| thread.is_finished()) {
            take();
            std::thread::yield_now();
        }
        take();
    });
    let arrived: usize = seen.iter().map(Vec::len).sum();
    assert_eq!(arrived + waiting.take_dropped() as usize, THREADS * EACH);
    assert!(arrived >= QUEUE);
    for numbers in seen {
        assert!(numbers.is_sorted_by(|one, other| one < other));
    }
}

#[test]
fn a_full_queue_drops_what_comes_and_counts_it() {
    let running = Running::new(Node::new("s", None, None, ""), true);
    let waiting = running.take_waiting().unwrap();
    for at in 0..QUEUE + 3 {
        running.observe(numbered(at));
    }
    assert_eq!((waiting.take_dropped(), waiting.take_dropped()), (3, 0));
    let waited: Vec<_> = std::iter::from_fn(|| waiting.next()).collect();
    assert_eq!(waited.len(), QUEUE);
    assert!(waited.iter().map(number).eq(0..QUEUE));
    running.observe(numbered(7));
    assert_eq!(waiting.next().as_ref().map(number), Some(7));
}

#[test]
fn the_queue_is_made_when_the_product_is_switched_on_and_not_before() {
    let _turn = turn();
    set_on(false);
    make_ready(Node::new("first", None, None, ""));
    assert!(take_waiting().is_none());
    assert_eq!(with(|_, _| ()), None);
    set_on(true);
    let waiting = take_waiting().unwrap();
    for on in [true, false, true] {
        set_on(on);
        assert!(take_waiting().is_none(), "there is a queue already");
    }
    // Another node, as when the agent has told something: the thread notices, and the queue is the same one.
    let nodes = ["first", "second"].map(|service| Node::new(service, None, None, ""));
    for node in nodes {
        set_node(node);
        let found = with(|running, _| {
            running.observe(numbered(1));
            running.node
        });
        assert_eq!(found, Some(node));
        assert_eq!(waiting.next().as_ref().map(number), Some(1));
    }
    set_on(false);
}
