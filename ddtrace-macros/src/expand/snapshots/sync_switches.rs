#[trace(root, enabled = verbose(), short_name, args_all, skip(password), err(handled), ret = |r| r.len())]
unsafe extern "C" fn login(name: &str, password: &str, (x, y): (u8, u8)) -> Result<(), Error> { #![allow(dead_code)] check(name)?; Ok(()) }
