#[ddtrace::test(tag(a = 1))]
fn unknown_option() {}

#[ddtrace::test(unskippable = true)]
fn flag_with_a_value() {}

#[ddtrace::test(tags = "a")]
fn tags_without_a_list() {}

#[ddtrace::test]
async fn without_a_runtime() {}

#[ddtrace::test]
struct NotATest;

#[ddtrace::test]
mod tests {}

fn main() {}
