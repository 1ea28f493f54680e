#[dsm_transaction(checkpoint = "paid", id = arg(order))]
fn pay(order: &Order) { settle(order) }
// ------------------------------------------------------------------------
fn pay(order: &Order) {
    if ::ddtrace::__private::dsm::is_on() {
        ::ddtrace::__private::dsm::transaction(
            &::ddtrace::__private::probe(&(order)).capture().text(),
            "paid",
        );
    }
    { settle(order) }
}
