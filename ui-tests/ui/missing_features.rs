// What the facade exports in place of an attribute while the feature of its product is off.
use ddtrace::trace;
use ddtrace_macros::{missing_dsm_checkpoint as dsm_checkpoint, missing_llm as llm, missing_tool as tool};

#[dsm_checkpoint(consume, type = "kafka", topic = "orders")]
fn on_order() -> u8 {
    1
}

#[trace]
#[llm(model_name = "gpt-4o")]
async fn below_another() -> u8 {
    1
}

#[tool]
#[trace]
fn above_another() {}

fn main() {
    // The functions are there all the same.
    let _: u8 = on_order();
    drop(below_another());
    above_another();
}
