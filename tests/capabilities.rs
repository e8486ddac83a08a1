//! What guests may ask for by name: grants and their refusals, and each capability over services in memory.

mod fakes;
mod guest;
mod named;
mod queue;
mod services;

use skep::capability::bindings::skep::worker::errors::Error;

/// The case of an error and its sentence, as a guest reads them.
fn no<T: std::fmt::Debug>(answer: Result<T, Error>) -> (&'static str, String) {
    match answer.unwrap_err() {
        Error::Denied(sentence) => ("denied", sentence),
        Error::NotFound(sentence) => ("not-found", sentence),
        Error::Conflict(sentence) => ("conflict", sentence),
        Error::Timeout(sentence) => ("timeout", sentence),
        Error::TooLarge(sentence) => ("too-large", sentence),
        Error::Unavailable(sentence) => ("unavailable", sentence),
        Error::Invalid(sentence) => ("invalid", sentence),
    }
}

fn says<T: std::fmt::Debug>(answer: Result<T, Error>, case: &str, words: &str) {
    let (got, sentence) = no(answer);
    assert_eq!(got, case, "{sentence}");
    assert!(sentence.contains(words), "{sentence:?} does not say {words:?}");
}
