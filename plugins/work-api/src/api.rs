//! The HTTP API: which request means what, and the exact answers. Pure: what it needs of the host is [`Work`].
//!
//! | a job is | `status` |
//! |---|---|
//! | delayed (an attempt failed and it waits for the next), waiting | `accepted` |
//! | running | `pending` |
//! | done | `done`, with its `value` |
//! | dead, cancelled | `failed`, with an `error` |

use serde_json::{Value, json};
use web::{Answer, Method, Request, form};

const WORK: &str = "/api/work";
const STATUS: &str = "/api/status/";
const MISSING: &str = "data is missing: POST /api/work?data=…, or {\"data\": \"…\"} as the body";

/// What the API asks of the host.
pub trait Work {
    /// Queues data; the id of its job, which is durable then.
    fn push(&mut self, data: &str) -> Result<String, Refused>;
    /// None: nobody knows it, or its time to live is over.
    fn stage(&mut self, id: &str) -> Result<Option<Stage>, Refused>;
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Accepted,
    Pending,
    Done(String),
    Failed(String),
}

/// The host did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status that says so.
    pub status: u16,
    pub sentence: String,
}

/// Reads `config`: `{ queue = "work" }`.
pub fn queue(config: &str) -> Result<String, String> {
    let config: Value = serde_json::from_str(config).map_err(|error| format!("config is no JSON: {error}"))?;
    let mut queue = "work".to_owned();
    for (key, value) in config.as_object().into_iter().flatten() {
        match (key.as_str(), value.as_str()) {
            ("queue", Some(name)) if !name.is_empty() => name.clone_into(&mut queue),
            ("queue", _) => return Err(format!("config.queue is {value}; write the name of a queue, such as \"work\"")),
            _ => return Err(format!("config.{key} is unknown; queue is the only key")),
        }
    }
    Ok(queue)
}

pub fn answer(request: &Request, work: &mut impl Work) -> Answer {
    let answer = match (request.path.as_str(), request.method) {
        (WORK, Method::Post) => submit(request, work),
        (WORK, _) => Ok(Answer::not_allowed("POST")),
        (path, Method::Get) if let Some(id) = path.strip_prefix(STATUS) => status(id, work),
        (path, _) if path.starts_with(STATUS) => Ok(Answer::not_allowed("GET")),
        _ => Ok(not_found()),
    };
    answer.unwrap_or_else(|refused| Answer::error(refused.status, &refused.sentence))
}

fn submit(request: &Request, work: &mut impl Work) -> Result<Answer, Refused> {
    let data = match request.parameter("data") {
        Some(data) => Ok(data),
        None => data(&request.body),
    };
    match data.and_then(|data| if data.is_empty() { Err(MISSING) } else { Ok(data) }) {
        Ok(data) => work.push(&data).map(|id| Answer::json(200, &json!({ "callback": id }))),
        Err(why) => Ok(Answer::error(400, why)),
    }
}

/// `{"data":"…"}` or `data=…`, told apart by how it begins: curl calls both a form.
fn data(body: &[u8]) -> Result<String, &'static str> {
    if !body.trim_ascii_start().starts_with(b"{") {
        let text = std::str::from_utf8(body).map_err(|_| "the body is no text")?;
        return form(text.trim_ascii_end()).filter(|(key, _)| key == "data").last().map(|(_, data)| data).ok_or(MISSING);
    }
    let mut body: Value = serde_json::from_slice(body).map_err(|_| "the body is no JSON")?;
    match body.get_mut("data").map(Value::take) {
        Some(Value::String(data)) => Ok(data),
        None | Some(Value::Null) => Err(MISSING),
        Some(_) => Err("data is no text"),
    }
}

fn status(id: &str, work: &mut impl Work) -> Result<Answer, Refused> {
    let body = match work.stage(id)? {
        None => return Ok(not_found()),
        Some(Stage::Accepted) => json!({ "status": "accepted", "value": null }),
        Some(Stage::Pending) => json!({ "status": "pending", "value": null }),
        Some(Stage::Done(value)) => json!({ "status": "done", "value": value }),
        Some(Stage::Failed(error)) => json!({ "status": "failed", "value": null, "error": error }),
    };
    Ok(Answer::json(200, &body))
}

fn not_found() -> Answer {
    Answer::error(404, "not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(Vec<(String, Stage)>);

    impl Work for Memory {
        fn push(&mut self, data: &str) -> Result<String, Refused> {
            if data == "too much" {
                return Err(Refused { status: 413, sentence: "at most 1 MiB".to_owned() });
            }
            self.0.push((data.to_owned(), Stage::Accepted));
            Ok((self.0.len() - 1).to_string())
        }

        fn stage(&mut self, id: &str) -> Result<Option<Stage>, Refused> {
            Ok(id.parse().ok().and_then(|index: usize| self.0.get(index)).map(|(_, stage)| stage.clone()))
        }
    }

    fn ask(work: &mut Memory, method: Method, target: &str, body: &str) -> (u16, String) {
        let answer = answer(&Request::new(method, target, body.as_bytes().to_vec()), work);
        (answer.status, answer.body)
    }

    #[test]
    fn the_references_own_sequence() {
        let mut work = Memory::default();
        let submitted = ask(&mut work, Method::Post, "/api/work?data=some-string-goes-here", "");
        assert_eq!(submitted, (200, r#"{"callback":"0"}"#.to_owned()));
        let stages = [
            (Stage::Accepted, r#"{"status":"accepted","value":null}"#),
            (Stage::Pending, r#"{"status":"pending","value":null}"#),
            (Stage::Done("eg".to_owned()), r#"{"status":"done","value":"eg"}"#),
            (Stage::Failed("gave up".to_owned()), r#"{"error":"gave up","status":"failed","value":null}"#),
        ];
        for (stage, body) in stages {
            work.0[0].1 = stage;
            assert_eq!(ask(&mut work, Method::Get, "/api/status/0", ""), (200, body.to_owned()));
        }
        for unknown in ["/api/status/1", "/api/status/", "/api/status", "/api/status/0/1", "/api", "/"] {
            assert_eq!(ask(&mut work, Method::Get, unknown, ""), (404, r#"{"error":"not found"}"#.to_owned()), "{unknown}");
        }
    }

    #[test]
    fn data_comes_in_the_query_as_json_or_as_a_form() {
        let mut work = Memory::default();
        for (target, body) in [
            ("/api/work?data=f%C3%B6+o", ""),
            ("/api/work", r#" {"data":"fö o","more":1}"#),
            ("/api/work", "data=f%C3%B6+o"),
            ("/api/work?data=f%C3%B6+o", r#"{"data":"the query comes first"}"#),
        ] {
            assert_eq!(ask(&mut work, Method::Post, target, body).0, 200, "{target} {body}");
        }
        assert!(work.0.len() == 4 && work.0.iter().all(|(data, _)| data == "fö o"), "{:?}", work.0);
    }

    #[test]
    fn missing_and_malformed_data_is_said() {
        let mut work = Memory::default();
        for (target, body, why) in [
            ("/api/work", "", "data is missing"),
            ("/api/work?data=", "", "data is missing"),
            ("/api/work?other=1", "", "data is missing"),
            ("/api/work", "{}", "data is missing"),
            ("/api/work", r#"{"data":null}"#, "data is missing"),
            ("/api/work", r#"{"data":5}"#, "data is no text"),
            ("/api/work", r#"{"data":"a""#, "the body is no JSON"),
            ("/api/work", "[1]", "data is missing"),
        ] {
            let (status, said) = ask(&mut work, Method::Post, target, body);
            let said: Value = serde_json::from_str(&said).unwrap();
            assert!(status == 400 && said["error"].as_str().unwrap().starts_with(why), "{target} {body}: {said}");
        }
        assert_eq!(ask(&mut work, Method::Post, "/api/work?data=too+much", "").0, 413);
        assert!(work.0.is_empty());
        assert_eq!(ask(&mut work, Method::Get, "/api/work?data=a", "").0, 405);
        assert_eq!(ask(&mut work, Method::Post, "/api/status/0", "").0, 405);
    }

    #[test]
    fn config_has_one_key() {
        assert_eq!(queue("{}").unwrap(), "work");
        assert_eq!(queue(r#"{"queue":"other"}"#).unwrap(), "other");
        assert!(queue(r#"{"queue":""}"#).unwrap_err().starts_with("config.queue is"));
        assert_eq!(queue(r#"{"ttl":1}"#).unwrap_err(), "config.ttl is unknown; queue is the only key");
    }
}
