#[trace]
impl fmt::Display for Cart { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "cart") } }
// ------------------------------------------------------------------------
impl fmt::Display for Cart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cart")
    }
}
