//! What is sent: an alert, or several as one, in the form of a target. Pure.
//!
//! Whatever an alert's texts hold (markup, quotes, line ends) goes as text.

use serde_json::{Value, json};

use crate::{
    alert::Alert,
    config::{Form, Target},
    template::Template,
};

/// Alerts whose summaries a person reads in one message; the rest is counted.
const SHOWN: usize = 20;

/// One message: what it says, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub alert: Alert,
    /// The payload as it came; of a batch, all of them.
    pub payload: Vec<u8>,
}

impl Message {
    pub fn one(alert: Alert, payload: &[u8]) -> Self {
        Self { alert, payload: payload.to_vec() }
    }

    /// Several, as one with an id of its own.
    pub fn batch(id: &str, all: &[(Alert, Vec<u8>)]) -> Self {
        if let [(alert, payload)] = all {
            // Alone it goes as itself, but for the id that stays the same with every try.
            return Self { alert: Alert { id: id.to_owned(), ..alert.clone() }, payload: payload.clone() };
        }
        let bad = all.iter().filter(|(alert, _)| alert.bad()).count();
        let lines: Vec<&str> = all.iter().take(SHOWN).map(|(alert, _)| alert.summary.as_str()).collect();
        let more = all.len().saturating_sub(SHOWN);
        let mut detail = lines.join("\n");
        if more > 0 {
            detail.push_str(&format!("\nand {more} more"));
        }
        let newest = all.last().map(|(alert, _)| alert.clone()).unwrap_or_default();
        let summary = match (bad, all.len() - bad) {
            (bad, 0) => format!("{bad} alerts"),
            (0, good) => format!("{good} all-clears"),
            (bad, good) => format!("{} alerts, {good} of them all-clears", bad + good),
        };
        let urgent = all.iter().any(|(alert, _)| alert.urgent());
        let to = if urgent {
            "down"
        } else if bad > 0 {
            "degraded"
        } else {
            "up"
        };
        let alert = Alert {
            id: id.to_owned(),
            kind: "batch".to_owned(),
            at: newest.at,
            host: newest.host,
            summary,
            to: to.to_owned(),
            detail: Some(detail),
            count: all.len(),
            ..Alert::default()
        };
        let read = |payload: &Vec<u8>| serde_json::from_slice::<Value>(payload).unwrap_or_default();
        let alerts: Vec<Value> = all.iter().map(|(_, payload)| read(payload)).collect();
        let whole = json!({
            "id": alert.id, "kind": alert.kind, "at": alert.at, "host": alert.host, "summary": alert.summary, "to": alert.to,
            "detail": alert.detail, "alerts": alerts,
        });
        Self { alert, payload: whole.to_string().into_bytes() }
    }

    /// The body for one target.
    pub fn body(&self, target: &Target) -> Vec<u8> {
        match &target.form {
            Form::Plain => self.payload.clone(),
            Form::Template { template, json } => fill(template, &self.alert, *json),
            Form::Ntfy { topic, priority } => self.ntfy(topic, *priority),
            Form::Slack => json!({ "text": slack(&self.text()) }).to_string().into_bytes(),
        }
    }

    /// For people: what happened, and where there is more to say.
    fn text(&self) -> String {
        let alert = &self.alert;
        let mut text = alert.summary.clone();
        let detail = alert.detail.as_deref().unwrap_or_default();
        // A check's one line stands in its summary already.
        if alert.kind == "batch" || detail.lines().count() > 1 {
            text.push('\n');
            text.push_str(detail);
        }
        if let Some(notes) = alert.notes.as_deref().filter(|notes| !notes.is_empty()) {
            text.push('\n');
            text.push_str(notes);
        }
        text
    }

    fn ntfy(&self, topic: &str, priority: Option<u8>) -> Vec<u8> {
        let alert = &self.alert;
        let usual = if alert.urgent() { 4 } else { 3 };
        let tag = if alert.bad() { "warning" } else { "white_check_mark" };
        let title = alert.title.as_ref().or(alert.worker.as_ref()).map_or_else(|| format!("skep on {}", alert.host), Clone::clone);
        let body = json!({
            "topic": topic, "title": title, "message": self.text(), "priority": priority.unwrap_or(usual), "tags": [tag],
        });
        body.to_string().into_bytes()
    }
}

fn fill(template: &Template, alert: &Alert, json: bool) -> Vec<u8> {
    template.fill(alert, json).into_bytes()
}

/// The three characters that Slack reads as markup.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn target(json: &str) -> Target {
        config::parse(&format!(r#"{{"targets":[{json}]}}"#)).unwrap().targets.remove(0)
    }

    fn alert(n: usize, to: &str) -> (Alert, Vec<u8>) {
        let payload = format!(r#"{{"id":"{n}","kind":"check","summary":"{to}: <b>&{n}</b>","to":"{to}","host":"h","notes":"call Bob"}}"#);
        (Alert::read(payload.as_bytes()).unwrap(), payload.into_bytes())
    }

    fn read(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn each_form_carries_markup_as_text() {
        let (down, payload) = alert(1, "down");
        let message = Message::one(down, &payload);
        assert_eq!(message.body(&target(r#"{"kind":"webhook","url":"http://a"}"#)), payload);
        let slack = read(&message.body(&target(r#"{"kind":"slack","url":"http://a"}"#)));
        assert_eq!(slack["text"], "down: &lt;b&gt;&amp;1&lt;/b&gt;\ncall Bob");
        let ntfy = read(&message.body(&target(r#"{"kind":"ntfy","url":"http://a/t"}"#)));
        assert_eq!((&ntfy["topic"], &ntfy["message"], &ntfy["priority"]), (&json!("t"), &json!("down: <b>&1</b>\ncall Bob"), &json!(4)));
        let own = read(&message.body(&target(r#"{"kind":"webhook","url":"http://a","template":"{\"t\":\"{{summary}}\"}"}"#)));
        assert_eq!(own["t"], "down: <b>&1</b>");
    }

    #[test]
    fn a_batch_says_what_is_in_it() {
        let all: Vec<_> = (0..25).map(|n| alert(n, if n % 5 == 0 { "up" } else { "down" })).collect();
        let message = Message::batch("b", &all);
        assert_eq!(message.alert.summary, "25 alerts, 5 of them all-clears");
        assert!(message.alert.detail.as_ref().unwrap().ends_with("and 5 more"));
        let whole = read(&message.payload);
        assert_eq!((whole["alerts"].as_array().unwrap().len(), &whole["id"], &whole["kind"]), (25, &json!("b"), &json!("batch")));
        assert_eq!(Message::batch("b", &all[1..3]).alert.summary, "2 alerts");
        let alone = Message::batch("b", &all[1..2]);
        assert_eq!((alone.alert.kind.as_str(), alone.alert.id.as_str()), ("check", "b"));
    }
}
