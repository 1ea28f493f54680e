use ddtrace::{agent, embedding, llm, llm_block, retrieval, task, tool, trace, workflow};

#[llm(model = "gpt-4o")]
fn unknown_option() {}

#[llm(name = "a", name = "b")]
fn twice() {}

#[llm(version = "1")]
fn version_of_a_model() {}

#[workflow(model_name = "gpt-4o", model_provider = "openai")]
fn model_of_a_workflow() {}

#[embedding(version = "1")]
fn version_of_an_embedding() {}

#[task(io = "all")]
fn unknown_io() {}

#[tool(skip(key))]
fn no_such_parameter(city: &str) {
    let _ = city;
}

#[llm(skip(key))]
fn nothing_to_skip(key: &str) {
    let _ = key;
}

#[tool(stream = "text")]
fn no_stream() -> u8 {
    1
}

#[llm(stream = "xml")]
fn unknown_items() -> impl Iterator<Item = String> {
    std::iter::empty()
}

#[llm(stream = "text", output = |r| r, metrics = |r| [("a", 1)], model_name = |r| "m", tags(a = |r| 1))]
fn results_of_a_stream() -> impl Iterator<Item = String> {
    std::iter::empty()
}

#[retrieval(output = |r| r)]
fn output_of_nothing() {}

#[llm(tags(a = %|r| 1))]
fn trait_of_a_closure() -> u8 {
    1
}

#[llm(tags = "a")]
fn tags_without_a_list() {}

#[llm(metadata(a))]
fn metadata_without_a_value() {}

#[agent(err = maybe)]
fn err_at_run_time() {}

#[llm]
#[tool]
fn two_kinds() {}

#[llm]
#[trace]
#[llm]
fn the_same_kind_twice() {}

#[llm]
const fn constant() {}

#[tool]
struct Weather;

#[agent]
impl Weather {
    fn of(&self) {}
}

fn blocks() {
    llm_block!();
    llm_block!(llm);
    llm_block!(span("a"), {});
    llm_block!(tool("a") {});
    llm_block!(tool("a"), name = "b", {});
    llm_block!(tool("a"), skip(b), {});
    llm_block!(tool("a"), model_name = "b", {});
}

fn main() {
    blocks();
}
