#[dsm_checkpoint(consume, type = "kafka", topic = message.topic(), carrier = message.headers, group = "billing", payload = message.body, tags("exchange" = exchange), manual = false)]
fn on_order(message: &Message, exchange: u8) -> Result<(), Error> { settle(message)?; Ok(()) }
// ------------------------------------------------------------------------
fn on_order(message: &Message, exchange: u8) -> Result<(), Error> {
    let __dd_pathway = ::ddtrace::__private::dsm::scope();
    if ::ddtrace::__private::dsm::is_on() {
        #[allow(unused_imports)]
        use ::ddtrace::__private::dsm::{AsCarrier as _, AsCarrierMut as _};
        ::ddtrace::__private::dsm::consume(
                "kafka",
                &::ddtrace::__private::probe(&(message.topic())).capture().text(),
            )
            .in_group("billing")
            .pair("exchange", &::ddtrace::__private::probe(&(exchange)).capture().text())
            .payload_size(::ddtrace::__private::dsm::payload(&(message.body)).size())
            .manual(false)
            .from((message.headers).as_carrier());
    }
    {
        settle(message)?;
        Ok(())
    }
}
