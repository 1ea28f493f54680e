use ddtrace::trace;

#[trace]
pub const fn double(n: u8) -> u8 {
    n * 2
}

const FOUR: u8 = double(2);

fn main() {
    let _ = FOUR;
}
