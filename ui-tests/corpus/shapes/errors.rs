//! Functions that fail, with every kind of error.

use std::error::Error;
use std::fmt;
use std::num::ParseIntError;

use super::harness::Case;
use super::trace;

#[derive(Debug)]
pub(crate) enum AppError {
    Parse(ParseIntError),
    Big(u64),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(_) => f.write_str("no number"),
            Self::Big(n) => write!(f, "{n} is too big"),
        }
    }
}

impl Error for AppError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Parse(error) => Some(error),
            Self::Big(_) => None,
        }
    }
}

impl From<ParseIntError> for AppError {
    fn from(error: ParseIntError) -> Self {
        Self::Parse(error)
    }
}

type Fallible<T, E = AppError> = std::result::Result<T, E>;

#[trace]
fn question_mark(text: &str) -> Result<u64, AppError> {
    let number: u64 = text.parse()?;
    if number > 9 {
        return Err(AppError::Big(number));
    }
    Ok(number)
}

#[trace]
fn passes_on(text: &str) -> Result<u64, AppError> {
    question_mark(text)
}

#[trace]
fn inferred() -> Result<(), AppError> {
    question_mark("1")?;
    Ok(())
}

#[trace]
fn alias(text: &str) -> Fallible<u64> {
    Ok(text.parse::<u64>()? + 1)
}

#[trace]
fn alias_at_the_end(text: &str) -> Fallible<u64> {
    question_mark(text)
}

#[trace]
fn io() -> std::io::Result<()> {
    Err(std::io::Error::other("disk"))
}

#[trace]
fn dynamic(text: &str) -> Result<u64, Box<dyn Error + Send + Sync>> {
    if text.is_empty() {
        return Err("empty".into());
    }
    let number: u64 = text.parse()?;
    if number == 7 {
        Err(format!("{number} again"))?;
    }
    Ok(number)
}

#[trace]
fn with_anyhow(n: u64) -> anyhow::Result<u64> {
    anyhow::ensure!(n != 1, "one is {}", "bad");
    if n == 2 {
        anyhow::bail!("two");
    }
    question_mark("x").map_err(|error| anyhow::Error::new(error).context("while parsing"))
}

#[trace]
fn text_error() -> Result<(), String> {
    Err("text".to_owned())
}

#[derive(Debug)]
#[allow(dead_code)] // Shown by `Debug` only.
struct OnlyDebug(u8);

#[trace]
fn debug_error() -> Result<(), OnlyDebug> {
    Err(OnlyDebug(1))
}

struct Opaque;

#[trace]
fn opaque_error() -> Result<(), Opaque> {
    Err(Opaque)
}

#[trace]
fn generic_error<E>(error: E) -> Result<(), E> {
    if true {
        return Err(error);
    }
    Ok(())
}

#[trace]
fn bounded_error<E: Error>(error: E) -> Result<(), E> {
    Err(error)
}

#[trace]
fn coerces(n: u8) -> Result<Box<dyn fmt::Display>, AppError> {
    if n == 1 {
        return Ok(Box::new("one"));
    }
    Ok(Box::new(n))
}

#[trace]
fn opaque_ok(n: u8) -> Result<impl Iterator<Item = u8>, AppError> {
    if n > 9 {
        return Err(AppError::Big(n.into()));
    }
    Ok(0..n)
}

#[trace]
fn collects(list: &[&str]) -> Result<Vec<u64>, ParseIntError> {
    let numbers = list.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    Ok(numbers)
}

#[trace]
fn slot(list: &mut [u8], at: usize) -> Result<&mut u8, String> {
    let len = list.len();
    if at >= len {
        return Err(format!("{at} of {len}"));
    }
    let slot = list.get_mut(at).ok_or("gone")?;
    Ok(slot)
}

#[trace(err = false)]
fn ignored() -> Result<(), AppError> {
    Err(AppError::Big(1))
}

#[trace(err(handled))]
fn handled(n: u64) -> Result<(), AppError> {
    if n > 0 {
        return Err(AppError::Big(n));
    }
    Ok(())
}

#[trace(err(filter = |error| matches!(error, AppError::Big(n) if *n > 5)))]
fn filtered(n: u64) -> Result<(), AppError> {
    Err(AppError::Big(n))
}

#[trace(err)]
fn explicit(n: u64) -> Fallible<u64> {
    if n > 1 {
        return Err(AppError::Big(n));
    }
    Ok(n)
}

struct PanicsInDisplay;

impl fmt::Display for PanicsInDisplay {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("by design")
    }
}

#[trace]
fn hostile_error() -> Result<(), PanicsInDisplay> {
    Err(PanicsInDisplay)
}

fn show<T: fmt::Debug, E: fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error {error}"),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "question mark",
            run: || ["1", "x", "12"].map(|text| show(question_mark(text))).join(", "),
            spans: &["question_mark", "question_mark!no number", "question_mark!12 is too big"],
        },
        Case {
            name: "the error of the function below",
            run: || show(passes_on("12")),
            spans: &["passes_on!12 is too big", "passes_on/question_mark!12 is too big"],
        },
        Case {
            name: "inferred type of the error",
            run: || show(inferred()),
            spans: &["inferred", "inferred/question_mark"],
        },
        Case {
            name: "alias of result",
            run: || show(alias("x")) + &show(alias_at_the_end("x")),
            spans: &["alias!no number", "alias_at_the_end!no number", "alias_at_the_end/question_mark!no number"],
        },
        Case {
            name: "io",
            run: || show(io()),
            spans: &["io!disk"],
        },
        Case {
            name: "boxed dyn error",
            run: || ["", "x", "7", "8"].map(|text| show(dynamic(text))).join(", "),
            spans: &["dynamic!empty", "dynamic!invalid digit found in string", "dynamic!7 again", "dynamic"],
        },
        Case {
            name: "anyhow",
            run: || [1, 2, 3].map(|n| show(with_anyhow(n))).join(", "),
            spans: &["with_anyhow!one is bad", "with_anyhow!two", "with_anyhow!while parsing", "with_anyhow/question_mark!no number"],
        },
        Case {
            name: "text as the error",
            run: || show(text_error()),
            spans: &["text_error!text"],
        },
        Case {
            name: "error with debug only",
            run: || format!("{:?}", debug_error()),
            spans: &["debug_error!OnlyDebug(1)"],
        },
        Case {
            name: "error without any trait",
            run: || opaque_error().is_err().to_string(),
            spans: &["opaque_error!corpus::traced::errors::Opaque"],
        },
        Case {
            name: "generic errors",
            run: || show(generic_error("a")) + &show(bounded_error(AppError::Big(1))),
            spans: &["generic_error!&str", "bounded_error!1 is too big"],
        },
        Case {
            name: "coercion in ok",
            run: || [1, 2].map(|n| coerces(n).unwrap().to_string()).join(""),
            spans: &["coerces", "coerces"],
        },
        Case {
            name: "opaque type in ok",
            run: || format!("{} {}", opaque_ok(3).unwrap().count(), opaque_ok(10).is_err()),
            spans: &["opaque_ok", "opaque_ok!10 is too big"],
        },
        Case {
            name: "collect with inference",
            run: || show(collects(&["1", "2"])) + &show(collects(&["x"])),
            spans: &["collects", "collects!invalid digit found in string"],
        },
        Case {
            name: "mutable reference handed out",
            run: || {
                let mut list = vec![1, 2];
                *slot(&mut list, 1).unwrap() = 7;
                format!("{:?} {list:?}", slot(&mut list.clone(), 2))
            },
            spans: &["slot", "slot!2 of 2"],
        },
        Case {
            name: "errors off, handled, filtered, on",
            run: || show(ignored()) + &show(handled(1)) + &show(filtered(1)) + &show(filtered(6)) + &show(explicit(2)),
            spans: &["ignored", "handled", "filtered", "filtered!6 is too big", "explicit!2 is too big"],
        },
        Case {
            name: "an error that panics when it is shown",
            run: || hostile_error().is_err().to_string(),
            spans: &["hostile_error!<panicked in Display>"],
        },
    ]
}
