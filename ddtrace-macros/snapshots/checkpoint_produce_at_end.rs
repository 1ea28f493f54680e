#[dsm_checkpoint(produce, type = "kafka", topic = "invoices", carrier = headers, at = end)]
async fn send(headers: &mut Headers) -> Result<(), Error> { settle().await?; Ok(()) }
// ------------------------------------------------------------------------
fn send(
    headers: &mut Headers,
) -> impl ::core::future::Future<Output = Result<(), Error>> {
    ::ddtrace::__private::dsm::within(async move {
        let __dd_ret = async {
            if false {
                #[allow(unreachable_code)]
                {
                    let __dd_return: Result<(), Error> = loop {};
                    return __dd_return;
                }
            }
            {
                settle().await?;
                Ok(())
            }
        }
            .await;
        if ::ddtrace::__private::dsm::is_on()
            && ::ddtrace::__private::outcome(&__dd_ret).error().is_none()
        {
            #[allow(unused_imports)]
            use ::ddtrace::__private::dsm::{AsCarrier as _, AsCarrierMut as _};
            let __dd_passed = ::ddtrace::__private::dsm::produce("kafka", "invoices")
                .pass();
            if let ::core::option::Option::Some(__dd_passed) = __dd_passed {
                __dd_passed.inject((headers).as_carrier_mut());
            }
        }
        __dd_ret
    })
}
