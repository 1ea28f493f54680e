#[test(tags(team = "checkout", "cart.size" = 2 + 1), unskippable)]
#[should_panic]
fn prices_add_up() { panic!("by design") }
// ------------------------------------------------------------------------
#[::core::prelude::v1::test]
#[should_panic]
fn prices_add_up() {
    let __dd_test = ::ddtrace::testing::begin();
    __dd_test.tag("team", "checkout");
    __dd_test.tag("cart.size", &::ddtrace::__private::probe(&(2 + 1)).capture().text());
    __dd_test.tag("test.itr.unskippable", "true");
    panic!("by design")
}
