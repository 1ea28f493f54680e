#[trace(recursive, crate = crate::dd)]
mod work { mod inner { fn h() {} } #[cfg(test)] mod tests { fn j() {} } }
