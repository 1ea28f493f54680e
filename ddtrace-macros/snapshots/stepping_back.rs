#[trace(name = "a")]
#[inline]
#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
fn f() {}
// ------------------------------------------------------------------------
#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
#[ddtrace::trace(name = "a")]
#[inline]
fn f() {}
