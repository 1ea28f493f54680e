use ddtrace::trace;

#[trace]
fn wrong_value() -> u8 {
    "text"
}

#[trace]
fn wrong_early_value(n: u8) -> Result<u8, String> {
    if n == 0 {
        return Ok("text");
    }
    Ok(n)
}

#[trace]
fn wrong_error(text: &str) -> Result<u8, String> {
    let n: u8 = text.parse()?;
    Ok(n)
}

#[trace]
async fn wrong_output() -> u8 {
    "text"
}

#[trace]
async fn wrong_async_error(text: &str) -> Result<u8, String> {
    let n: u8 = text.parse()?;
    Ok(n)
}

#[trace]
async fn missing_await() -> u8 {
    wrong_output()
}

#[trace]
async fn nothing_expected() {
    1
}

#[trace]
fn unknown_name() -> u8 {
    missing
}

fn main() {}
