use ddtrace::trace;

struct Cart;

#[trace(name = "a", resource = "b", parent = c, args(d), err, recursive)]
impl Cart {
    fn f(&self) {}
}

#[trace(skip)]
impl Cart {
    fn g(&self) {}
}

#[trace(include(missing))]
impl Cart {
    fn h(&self) {}
}

#[trace]
mod work {
    #[trace]
    pub struct Item;

    #[trace(root = 1)]
    fn f() {}
}

fn main() {
    let _ = work::Item;
}
