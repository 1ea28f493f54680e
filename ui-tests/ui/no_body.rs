use ddtrace::trace;

trait Shop {
    #[trace]
    fn price(&self) -> u8;
}

unsafe extern "C" {
    #[trace]
    fn abs(n: i32) -> i32;
}

fn main() {}
