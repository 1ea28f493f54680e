#[trace]
mod work {
    use super::*;
    pub fn f() {}
    fn main() {}
    struct A;
    impl A { fn g(&self) {} }
    mod inner { fn h() {} }
    #[trace] mod asked { fn i() {} }
    #[cfg(test)] mod tests { fn j() {} }
}
