//! The token of changing calls.

/// 128 random bits in hexadecimal.
pub fn new() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares in a time that does not tell where the first difference is.
pub fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (super::new().unwrap(), super::new().unwrap());
        assert_eq!(a.len(), 32);
        assert!(
            super::equal(&a, &a.clone()) && !super::equal(&a, &b) && !super::equal(&a, &a[1..])
        );
    }
}
