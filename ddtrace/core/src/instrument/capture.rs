//! Values of the user's, captured without asking for bounds.
//!
//! An annotation can't know what traits a type has, and must not demand any. The compiler knows, where the
//! concrete type is: a method call looks for methods on the type itself and then, one `Deref` after the other, on
//! what it dereferences to, and passes over those whose bounds the type does not meet. So each question below is a
//! chain of wrappers around one reference, each of which has a method of the same name under another bound and
//! dereferences to the next; the last one has no bound. `probe(&value).capture()` thus picks
//!
//! 1. numbers, booleans and text, also behind references and in an `Option` (`None` is no tag at all);
//! 2. `Display`;
//! 3. `Serialize`, as compact JSON;
//! 4. `Debug`;
//! 5. the name of the type.
//!
//! In a generic function only the bounds that are written there are known. Inherent methods need no trait in
//! scope, so nothing is imported into the user's function, and the usual case costs the compiler least.
//!
//! All formatting is bounded and a panic in it stays here (`crate::text`).

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Serialize;

use crate::text;
use crate::trace::{ErrorText, Failure, Reach, Span, Value};

/// A value as it goes into a tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Captured<'a> {
    /// Borrowed from the user's value.
    Value(Value<'a>),
    /// A whole number, kept as such for when text is wanted.
    Integer(i128),
    /// Formatted.
    Text(String),
}

impl Captured<'_> {
    /// The value for a tag.
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Value(value) => *value,
            Self::Integer(number) => Value::Number(*number as f64),
            Self::Text(text) => Value::Text(text),
        }
    }

    /// The value for what can only be text: a name, a resource, a service.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Value(Value::Static(text)) => Cow::Borrowed(text),
            Self::Value(Value::Text(text)) => Cow::Borrowed(text),
            Self::Value(Value::Number(number)) => Cow::Owned(number.to_string()),
            Self::Value(Value::Absent) => Cow::Borrowed(""),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Values that need no formatting.
pub trait Scalar {
    /// The value, borrowed if it is text.
    fn scalar(&self) -> Captured<'_>;
}

macro_rules! integers {
    ($($number:ty)*) => {$(
        impl Scalar for $number {
            #[inline]
            fn scalar(&self) -> Captured<'_> {
                Captured::Integer(i128::from(*self))
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 i128 u8 u16 u32 u64);

macro_rules! other_numbers {
    ($($number:ty)*) => {$(
        impl Scalar for $number {
            #[inline]
            fn scalar(&self) -> Captured<'_> {
                match i128::try_from(*self) {
                    Ok(number) => Captured::Integer(number),
                    Err(_) => Captured::Text(self.to_string()),
                }
            }
        }
    )*};
}
other_numbers!(isize usize u128);

macro_rules! floats {
    ($($number:ty)*) => {$(
        impl Scalar for $number {
            #[inline]
            fn scalar(&self) -> Captured<'_> {
                Captured::Value(Value::Number(f64::from(*self)))
            }
        }
    )*};
}
floats!(f32 f64);

impl Scalar for bool {
    #[inline]
    fn scalar(&self) -> Captured<'_> {
        Captured::Value(Value::Static(if *self { "true" } else { "false" }))
    }
}

impl Scalar for str {
    #[inline]
    fn scalar(&self) -> Captured<'_> {
        Captured::Value(Value::Text(self))
    }
}

macro_rules! texts {
    ($($text:ty)*) => {$(
        impl Scalar for $text {
            #[inline]
            fn scalar(&self) -> Captured<'_> {
                Captured::Value(Value::Text(self))
            }
        }
    )*};
}
texts!(String Cow<'_, str> std::sync::Arc<str> std::rc::Rc<str>);

macro_rules! pointers {
    ($($pointer:ty)*) => {$(
        impl<T: Scalar + ?Sized> Scalar for $pointer {
            #[inline]
            fn scalar(&self) -> Captured<'_> {
                (**self).scalar()
            }
        }
    )*};
}
pointers!(&T &mut T Box<T>);

impl<T: Scalar> Scalar for Option<T> {
    #[inline]
    fn scalar(&self) -> Captured<'_> {
        self.as_ref()
            .map_or(Captured::Value(Value::Absent), Scalar::scalar)
    }
}

/// A chain of wrappers around a reference: `$outer` holds and dereferences to the next one.
///
/// Also for products, which ask questions of their own.
#[doc(hidden)]
#[macro_export]
macro_rules! __ddtrace_chain {
    ($(#[$doc:meta])* $make:ident: $($link:ident)* ) => {
        $crate::__ddtrace_chain!(@links $($link)*);
        $(#[$doc])*
        #[inline]
        pub fn $make<T: ?Sized>(value: &T) -> $crate::__ddtrace_chain!(@first '_, T; $($link)*) {
            $crate::__ddtrace_chain!(@wrap value; $($link)*)
        }
    };
    (@first $a:lifetime, $t:ident; $first:ident $($rest:ident)*) => { $first<$a, $t> };
    (@wrap $value:ident; $last:ident) => { $last($value) };
    (@wrap $value:ident; $first:ident $($rest:ident)+) => { $first($crate::__ddtrace_chain!(@wrap $value; $($rest)+)) };
    (@links $last:ident) => {
        /// The last of its chain: holds the reference.
        #[derive(Debug)]
        pub struct $last<'a, T: ?Sized>(&'a T);
        impl<'a, T: ?Sized> $last<'a, T> {
            #[inline]
            fn get(&self) -> &'a T {
                self.0
            }
        }
    };
    (@links $link:ident $next:ident $($rest:ident)*) => {
        /// A link of its chain: has a method for some types and leaves the others to the next.
        #[derive(Debug)]
        pub struct $link<'a, T: ?Sized>($next<'a, T>);
        impl<'a, T: ?Sized> ::std::ops::Deref for $link<'a, T> {
            type Target = $next<'a, T>;
            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
        impl<'a, T: ?Sized> $link<'a, T> {
            #[inline]
            fn get(&self) -> &'a T {
                self.0.get()
            }
        }
        $crate::__ddtrace_chain!(@links $next $($rest)*);
    };
}

use crate::__ddtrace_chain as chain;

chain! {
    /// Asks for the best that a value has to offer.
    probe: IsScalar IsDisplay IsDisplayOption IsSerialize IsDebugOption IsDebug IsAny
}

impl<'a, T: Scalar + ?Sized> IsScalar<'a, T> {
    /// The value itself.
    #[inline]
    pub fn capture(&self) -> Captured<'a> {
        self.get().scalar()
    }
}

impl<T: fmt::Display + ?Sized> IsDisplay<'_, T> {
    /// What `Display` says.
    pub fn capture(&self) -> Captured<'static> {
        display(self.get())
    }
}

impl<T: fmt::Display> IsDisplayOption<'_, Option<T>> {
    /// What `Display` says of what is in it.
    pub fn capture(&self) -> Captured<'static> {
        self.get()
            .as_ref()
            .map_or(Captured::Value(Value::Absent), display)
    }
}

impl<T: Serialize + ?Sized> IsSerialize<'_, T> {
    /// Compact JSON; `null` is nothing.
    pub fn capture(&self) -> Captured<'static> {
        json(self.get())
    }
}

impl<T: fmt::Debug> IsDebugOption<'_, Option<T>> {
    /// What `Debug` says of what is in it.
    pub fn capture(&self) -> Captured<'static> {
        self.get()
            .as_ref()
            .map_or(Captured::Value(Value::Absent), debug)
    }
}

impl<T: fmt::Debug + ?Sized> IsDebug<'_, T> {
    /// What `Debug` says.
    pub fn capture(&self) -> Captured<'static> {
        debug(self.get())
    }
}

impl<T: ?Sized> IsAny<'_, T> {
    /// The name of the type: all that is known.
    pub fn capture(&self) -> Captured<'static> {
        Captured::Value(Value::Static(std::any::type_name::<T>()))
    }
}

chain! {
    /// Asks the same of a value that a function returns, where `Debug` goes first: it shows the whole of it.
    returned: ReturnsScalar ReturnsDebug ReturnsDisplay ReturnsSerialize ReturnsAny
}

impl<'a, T: Scalar + ?Sized> ReturnsScalar<'a, T> {
    /// The value itself.
    #[inline]
    pub fn capture(&self) -> Captured<'a> {
        self.get().scalar()
    }
}

impl<T: fmt::Debug + ?Sized> ReturnsDebug<'_, T> {
    /// What `Debug` says.
    pub fn capture(&self) -> Captured<'static> {
        debug(self.get())
    }
}

impl<T: fmt::Display + ?Sized> ReturnsDisplay<'_, T> {
    /// What `Display` says.
    pub fn capture(&self) -> Captured<'static> {
        display(self.get())
    }
}

impl<T: Serialize + ?Sized> ReturnsSerialize<'_, T> {
    /// Compact JSON.
    pub fn capture(&self) -> Captured<'static> {
        json(self.get())
    }
}

impl<T: ?Sized> ReturnsAny<'_, T> {
    /// The name of the type.
    pub fn capture(&self) -> Captured<'static> {
        Captured::Value(Value::Static(std::any::type_name::<T>()))
    }
}

/// `%value`.
pub fn display<T: fmt::Display + ?Sized>(value: &T) -> Captured<'static> {
    Captured::Text(text::display(value))
}

/// `?value`.
pub fn debug<T: fmt::Debug + ?Sized>(value: &T) -> Captured<'static> {
    Captured::Text(text::debug(value))
}

fn json<T: Serialize + ?Sized>(value: &T) -> Captured<'static> {
    match text::json(value) {
        text if text == "null" => Captured::Value(Value::Absent),
        text => Captured::Text(text),
    }
}

chain! {
    /// Asks what can be told of an error.
    error: IsError PointsToError ErrorDisplay ErrorDebug ErrorAny
}

impl<'a, T: Error> IsError<'a, T> {
    /// Type, message and sources.
    #[inline]
    pub fn view(&self) -> Failure<'a> {
        Failure::error(std::any::type_name::<T>(), self.get())
    }
}

/// `Box<dyn Error>` and its like are no errors themselves, but what they point to is.
impl<'a, T: Deref<Target: Error>> PointsToError<'a, T> {
    /// The pointer's type, the message and sources of what it points to.
    #[inline]
    pub fn view(&self) -> Failure<'a> {
        Failure::behind(std::any::type_name::<T>(), self.get())
    }
}

impl<T: Deref<Target: Error>> Reach for T {
    fn describe(&self, type_name: &str) -> ErrorText {
        ErrorText::named(type_name, &**self)
    }
}

impl<'a, T: fmt::Display> ErrorDisplay<'a, T> {
    /// Type, and `Display` as the message.
    #[inline]
    pub fn view(&self) -> Failure<'a> {
        Failure::display(std::any::type_name::<T>(), self.get())
    }
}

impl<'a, T: fmt::Debug> ErrorDebug<'a, T> {
    /// Type, and `Debug` as the message.
    #[inline]
    pub fn view(&self) -> Failure<'a> {
        Failure::debug(std::any::type_name::<T>(), self.get())
    }
}

impl<T: ?Sized> ErrorAny<'_, T> {
    /// The type alone.
    #[inline]
    pub fn view(&self) -> Failure<'static> {
        Failure::nothing(std::any::type_name::<T>())
    }
}

chain! {
    /// Asks a returned value what can be told of its error, if it is a `Result` and an `Err`.
    failure: FailsWithError FailsWithPointer FailsWithDisplay FailsWithDebug FailsWithAny NeverFails
}

macro_rules! fails {
    ($link:ident, $seen_as:ident, $($bound:tt)*) => {
        impl<'a, T, E: $($bound)*> $link<'a, Result<T, E>> {
            /// What can be told, unless it is `Ok`.
            #[inline]
            pub fn view(&self) -> Option<Failure<'a>> {
                match self.get() {
                    Ok(_) => None,
                    Err(error) => Some(Failure::$seen_as(std::any::type_name::<E>(), error)),
                }
            }
        }
    };
}
fails!(FailsWithError, error, Error);
fails!(FailsWithPointer, behind, Deref<Target: Error>);
fails!(FailsWithDisplay, display, fmt::Display);
fails!(FailsWithDebug, debug, fmt::Debug);

impl<'a, T, E> FailsWithAny<'a, Result<T, E>> {
    /// The error's type, unless it is `Ok`.
    #[inline]
    pub fn view(&self) -> Option<Failure<'a>> {
        let failure = || Failure::nothing(std::any::type_name::<E>());
        self.get().as_ref().err().map(|_| failure())
    }
}

impl<'a, T: ?Sized> NeverFails<'a, T> {
    /// Nothing.
    #[inline]
    pub fn view(&self) -> Option<Failure<'a>> {
        None
    }
}

chain! {
    /// Asks a returned value whether it is a `Result`.
    outcome: IsResult IsNoResult
}

impl<'a, T, E> IsResult<'a, Result<T, E>> {
    /// The error, if it is one.
    #[inline]
    pub fn error(&self) -> Option<&'a E> {
        self.get().as_ref().err()
    }

    /// The value, if it is none.
    #[inline]
    pub fn value(&self) -> Option<&'a T> {
        self.get().as_ref().ok()
    }
}

impl<'a, T: ?Sized> IsNoResult<'a, T> {
    /// It never is.
    #[inline]
    pub fn error(&self) -> Option<&'static Infallible> {
        None
    }

    /// It always is.
    #[inline]
    pub fn value(&self) -> Option<&'a T> {
        Some(self.get())
    }
}

/// What a future calls with its output before its span ends.
pub type Observer<T> = fn(&T, &mut Span);

/// A chain for types without a value: which function records the error of a value of type `T`.
macro_rules! observers {
    ($first:ident $($rest:ident)*) => {
        /// Picks the observer that suits the output's type.
        #[inline]
        pub fn observer<T>() -> $first<T> {
            $first::NEW
        }
        observers!(@ $first $($rest)*);
    };
    (@ $last:ident) => {
        /// The last of the chain.
        #[derive(Debug)]
        pub struct $last<T>(PhantomData<fn() -> T>);
        impl<T> $last<T> {
            const NEW: Self = Self(PhantomData);
        }
    };
    (@ $link:ident $next:ident $($rest:ident)*) => {
        /// A link of the chain.
        #[derive(Debug)]
        pub struct $link<T>($next<T>);
        impl<T> $link<T> {
            const NEW: Self = Self($next::NEW);
        }
        impl<T> Deref for $link<T> {
            type Target = $next<T>;
            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
        observers!(@ $next $($rest)*);
    };
}
observers!(ObservesError ObservesPointer ObservesDisplay ObservesDebug ObservesAny ObservesNothing);

macro_rules! observes {
    ($link:ident, $($bound:tt)*) => {
        impl<T, E: $($bound)*> $link<Result<T, E>> {
            /// Records an `Err`.
            #[inline]
            pub fn errors(&self) -> Observer<Result<T, E>> {
                |result, span| {
                    if let Err(failed) = result {
                        span.fail(error(failed).view());
                    }
                }
            }
        }
    };
}
observes!(ObservesError, Error);
observes!(ObservesPointer, Deref<Target: Error>);
observes!(ObservesDisplay, fmt::Display);
observes!(ObservesDebug, fmt::Debug);
observes!(ObservesAny, Sized);

impl<T> ObservesNothing<T> {
    /// The output is no `Result`, whatever its name.
    #[inline]
    pub fn errors(&self) -> Observer<T> {
        |_, _| {}
    }
}

/// Runs a body that may be left early. Asking for `FnOnce` lets it hand out what it borrows mutably.
#[inline]
pub fn call_once<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// Calls a function of the user's with a reference, so that a closure's parameter has a type. What it returns may be borrowed.
#[inline]
pub fn apply<'a, T: ?Sized, R>(value: &'a T, function: impl FnOnce(&'a T) -> R) -> R {
    function(value)
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
