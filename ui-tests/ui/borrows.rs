use ddtrace::trace;

#[trace]
fn moved_twice(text: String) -> Result<String, String> {
    drop(text);
    let kept = text;
    Err("no")?;
    Ok(kept)
}

#[trace]
async fn dangling() -> &'static str {
    let text = String::new();
    &text
}

#[trace]
fn not_mutable(list: Vec<u8>) {
    list.push(1);
}

fn main() {}
