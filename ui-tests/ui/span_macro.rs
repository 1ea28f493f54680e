use ddtrace::{span, trace_block};

fn main() {
    let name = "a";
    let _a = span!(name);
    let _b = span!();
    let _c = span!("a" b = 1);
    let _d = span!("a", b);
    trace_block!("a", b = 1);
}
