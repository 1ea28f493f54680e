#[trace(name = "cart.price", service = "shop", resource = cart.id, span_type = "web", kind = client, tags(items = cart.len(), "shop.kind" = "big", shown = %cart, raw = ?cart), args(a, b), ret, err(filter = is_serious), parent = context, link = other)]
fn price(cart: &Cart, a: u8, b: &str) -> Result<Money, Error> { cart.sum() }
