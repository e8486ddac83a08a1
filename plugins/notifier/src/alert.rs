//! An alert as its job carries it: the few fields that are shown, and the text as it came, which goes on untouched. Pure.

use serde::Deserialize;

/// What of an alert is looked at. Unknown fields are of newer hosts, and go on with the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Alert {
    pub id: String,
    pub kind: String,
    pub at: String,
    pub host: String,
    pub summary: String,
    pub worker: Option<String>,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
    pub subject: Option<String>,
    pub from: Option<String>,
    pub to: String,
    pub detail: Option<String>,
    pub since: Option<String>,
    pub before_ms: Option<u64>,
    /// Only of a batch: how many are in it.
    #[serde(skip)]
    pub count: usize,
}

impl Alert {
    /// Reads a payload; the error is a sentence.
    pub fn read(payload: &[u8]) -> Result<Self, String> {
        let mut alert: Self = serde_json::from_slice(payload).map_err(|error| format!("the payload is no alert: {error}"))?;
        alert.count = 1;
        if alert.id.is_empty() || alert.summary.is_empty() {
            return Err("the payload is no alert: it has no id or no summary".into());
        }
        Ok(alert)
    }

    /// It is about something that is wrong now.
    pub fn bad(&self) -> bool {
        !matches!(self.to.as_str(), "up" | "running" | "renewed" | "connected" | "test")
    }

    /// Somebody should look at it now.
    pub fn urgent(&self) -> bool {
        matches!(self.to.as_str(), "down" | "quarantined" | "failed" | "ended" | "cut-off")
    }

    /// A value for a template's placeholder; none: there is no such placeholder.
    pub fn field(&self, name: &str) -> Option<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Some(match name {
            "id" => self.id.clone(),
            "kind" => self.kind.clone(),
            "at" => self.at.clone(),
            "host" => self.host.clone(),
            "summary" => self.summary.clone(),
            "worker" => text(&self.worker),
            "title" => text(&self.title),
            "group" => text(&self.group),
            "notes" => text(&self.notes),
            "subject" => text(&self.subject),
            "from" => text(&self.from),
            "to" => self.to.clone(),
            "detail" => text(&self.detail),
            "since" => text(&self.since),
            "before_ms" => self.before_ms.map_or_else(String::new, |ms| ms.to_string()),
            "count" => self.count.to_string(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_a_newer_host_is_read() {
        let alert = Alert::read(br#"{"id":"1","kind":"check","summary":"down: x","to":"down","worker":null,"more":{"a":1}}"#).unwrap();
        assert_eq!((alert.kind.as_str(), alert.worker.as_ref(), alert.bad(), alert.urgent()), ("check", None, true, true));
        assert_eq!(alert.field("summary").as_deref(), Some("down: x"));
        assert_eq!(alert.field("worker").as_deref(), Some(""));
        assert_eq!(alert.field("wroker"), None);
    }

    #[test]
    fn what_is_no_alert_says_so() {
        for payload in [&b"what?"[..], b"{}", b"[]", b"{\"id\":\"1\"}", b"\xff"] {
            assert!(Alert::read(payload).unwrap_err().starts_with("the payload is no alert"), "{payload:?}");
        }
    }
}
