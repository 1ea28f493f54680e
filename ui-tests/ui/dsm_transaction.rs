use ddtrace::dsm_transaction;

#[dsm_transaction]
fn nothing() {}

#[dsm_transaction(checkpoint = "paid")]
fn no_id() {}

#[dsm_transaction(id = id)]
fn no_checkpoint(id: u64) {}

#[dsm_transaction(checkpoint = "", id = id)]
fn no_name(id: u64) {}

#[dsm_transaction(checkpoint = "paid", id = "order")]
fn one_for_all() {}

#[dsm_transaction(checkpoint = "paid", id = id, transaction = id)]
fn unknown_option(id: u64) {}

#[dsm_transaction(checkpoint = "paid", id = id, id = id)]
fn twice(id: u64) {}

#[dsm_transaction(checkpoint, id = id)]
fn without_a_value(id: u64) {}

#[dsm_transaction(checkpoint = "paid", id = id)]
struct Order;

#[dsm_transaction(checkpoint = "paid", id = id)]
const fn constant(id: u64) {}

#[dsm_transaction(checkpoint = "paid", id = id)]
#[dsm_transaction(checkpoint = "packed", id = id)]
fn two_transactions(id: u64) {}

fn main() {}
