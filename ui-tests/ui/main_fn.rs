#[ddtrace::main]
async fn no_runtime() {}

#[ddtrace::main]
fn arguments(n: u8) {}

#[ddtrace::main]
struct NoFunction;

#[ddtrace::main(flush)]
fn option() {}

fn main() {}
