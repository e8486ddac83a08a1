//! The HTTP API: which request means what, and the exact answers. Pure: what it needs of the host is [`Store`].

use std::collections::BTreeMap;

use web::{Answer, Method, Request};

use crate::counts::{Counts, Increment};

/// What the counter asks of the host.
pub trait Store {
    /// Everything counted so far.
    fn load(&mut self) -> Result<BTreeMap<String, i64>, Trouble>;
    /// Adds to each label, all or none, durable when it answers; the sums in order.
    fn increment(&mut self, labels: &[String], by: i64) -> Result<Vec<i64>, Trouble>;
    /// A line in the worker's log.
    fn note(&mut self, sentence: &str);
}

/// Why the store did not do it; a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It never will: a sum that doesn't fit.
    Invalid(String),
    /// Not now.
    Unavailable(String),
}

/// A counter over a store.
#[derive(Debug)]
pub struct Counter<S> {
    store: S,
    max_labels: usize,
    /// Read from the store at the first request.
    counts: Option<Counts>,
}

impl<S: Store> Counter<S> {
    pub fn new(store: S, max_labels: usize) -> Self {
        Self { store, max_labels, counts: None }
    }

    pub fn answer(&mut self, request: &Request) -> Answer {
        let answer = match (request.path.as_str(), request.method) {
            ("/metrics", Method::Get) => self.counts().map(|(counts, _)| Answer::json(200, &counts.all())),
            ("/metrics", Method::Post) => self.increment(&request.body),
            ("/metrics", Method::Other) => Ok(Answer::not_allowed("GET, POST")),
            ("/metrics/query", Method::Get) => self.query(&request.parameter("expression").unwrap_or_default()),
            ("/metrics/query", _) => Ok(Answer::not_allowed("GET")),
            _ => Ok(Answer::error(404, "not found")),
        };
        answer.unwrap_or_else(|trouble| self.refuse(&trouble))
    }

    fn query(&mut self, expression: &str) -> Result<Answer, Trouble> {
        let (counts, _) = self.counts()?;
        if expression.trim().is_empty() {
            return Ok(Answer::json(200, &counts.all()));
        }
        Ok(counts.some(expression).map_or_else(|| Answer::error(404, "not found"), |found| Answer::json(200, &found)))
    }

    fn increment(&mut self, body: &[u8]) -> Result<Answer, Trouble> {
        let Increment { labels, by } = Increment::parse(body).map_err(Trouble::Invalid)?;
        let (counts, store) = self.counts()?;
        counts.admit(&labels).map_err(Trouble::Invalid)?;
        let sums = store.increment(&labels, by)?;
        counts.set(labels.into_iter().zip(sums));
        Ok(Answer::json(200, &counts.all()))
    }

    fn counts(&mut self) -> Result<(&mut Counts, &mut S), Trouble> {
        let counts = match self.counts.take() {
            Some(counts) => counts,
            None => Counts::new(self.store.load()?, self.max_labels),
        };
        Ok((self.counts.insert(counts), &mut self.store))
    }

    /// Who asked learns little, as the API has it; the log says why.
    fn refuse(&mut self, trouble: &Trouble) -> Answer {
        match trouble {
            Trouble::Invalid(why) => {
                self.store.note(&format!("refused: {why}"));
                Answer::error(400, "Invalid Request")
            }
            Trouble::Unavailable(why) => {
                self.store.note(why);
                Answer::error(503, why)
            }
        }
    }
}

#[cfg(test)]
mod tests;
