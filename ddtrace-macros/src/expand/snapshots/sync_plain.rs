#[trace]
/// Docs stay.
pub fn price(cart: &Cart) -> Money { cart.sum() }
