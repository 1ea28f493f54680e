#[test]
#[tokio::test(flavor = "multi_thread")]
async fn later() -> Result<(), Error> { tick().await; Ok(()) }
// ------------------------------------------------------------------------
#[tokio::test(flavor = "multi_thread")]
async fn later() -> Result<(), Error> {
    let __dd_test = ::ddtrace::testing::begin();
    tick().await;
    Ok(())
}
