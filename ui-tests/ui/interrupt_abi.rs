#[ddtrace::trace]
extern "x86-interrupt" fn handler(frame: u8) {}

fn main() {}
