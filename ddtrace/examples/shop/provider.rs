//! Plays the provider of a language model, so that nobody needs a key to see the assistant at work.
//!
//! It answers by rules: a question about goods makes it ask for a tool, what the tool says goes into the answer; everything else is answered with what
//! the assistant has looked up. It writes as fast as a model does, and on some questions it has a bad day.

use std::io::Write as _;
use std::time::Duration;

use ddtrace_models::{Ask, Fault, Models, Reply};

use crate::service::{self, Error};
use crate::support::{KNOWN, STOCK_OF};
use crate::warehouse::GOODS;

/// Time between two words of an answer.
const PACE: Duration = Duration::from_millis(12);

/// Serves until whoever started the process closes its standard input.
pub(crate) fn run() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let models = Models::start(answer).await?;
        // The process that started this one waits for the line.
        println!("{}", models.address());
        std::io::stdout().flush()?;
        service::told_to_end().await;
        Ok(())
    })
}

fn answer(ask: &Ask) -> Reply {
    let question = ask.last_text().to_lowercase();
    let reply = match (
        ask.tool_result(),
        GOODS.iter().find(|sku| question.contains(*sku)),
    ) {
        (Some(result), _) => Reply::text(&format!(
            "I have looked for you. {result} Is there anything else?"
        )),
        (None, Some(sku)) => Reply::call(STOCK_OF, &format!(r#"{{"sku":"{sku}"}}"#))
            .thinking("The warehouse knows that."),
        (None, None) if question.contains("refund") => Reply::fault(Fault::ErrorAfter(5)),
        (None, None) => Reply::text(&format!(
            "Good to hear from you. {} I hope that helps.",
            best_known(ask)
        )),
    };
    reply.pace(PACE)
}

/// What the assistant has looked up first: the first line of its instructions that is knowledge.
fn best_known(ask: &Ask) -> &str {
    let instructions = ask.said.iter().find(|said| said.role == "system");
    let mut lines = instructions
        .map(|said| said.text.lines())
        .into_iter()
        .flatten();
    lines
        .find_map(|line| line.strip_prefix(KNOWN))
        .unwrap_or("I do not know.")
}
