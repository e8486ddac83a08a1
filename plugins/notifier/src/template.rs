//! Templates: text with `{{placeholders}}`, each an alert's field. Checked when the worker starts, so that no alert meets a wrong one. Pure.
//!
//! What a field holds is text from the outside: it is put in once, never read as a template again, and escaped where the body is JSON.

use crate::alert::Alert;

/// Literal text and field names, in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// Every placeholder there is.
pub const FIELDS: &str = "id, kind, at, host, summary, worker, title, group, notes, subject, from, to, detail, since, before_ms and count";

impl Template {
    /// The error is the rest of a sentence that opens with the template's key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = Alert::default();
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, behind) = after.split_once("}}").ok_or("has {{ without }}")?;
            let name = name.trim();
            if known.field(name).is_none() {
                return Err(format!("has {{{{{name}}}}}; there are {FIELDS}"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(name.to_owned()));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// With every placeholder's value; `json`: as it stands within a JSON text.
    pub fn fill(&self, alert: &Alert, json: bool) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Field(name) => {
                    let value = alert.field(name).unwrap_or_default();
                    if json { filled.push_str(&escaped(&value)) } else { filled.push_str(&value) }
                }
            }
        }
        filled
    }
}

/// As it stands between the quotes of a JSON text.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert { summary: "down: \"x\" <b>\n{{id}}".into(), id: "7".into(), count: 1, ..Alert::default() }
    }

    #[test]
    fn values_are_escaped_and_never_read_as_templates() {
        let template = Template::parse(r#"{"text":"{{summary}}","n":{{ count }}}"#).unwrap();
        let filled = template.fill(&alert(), true);
        let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(read["text"], "down: \"x\" <b>\n{{id}}");
        assert_eq!(read["n"], 1);
        assert_eq!(Template::parse("{{id}}: {{summary}}!").unwrap().fill(&alert(), false), "7: down: \"x\" <b>\n{{id}}!");
        assert_eq!(Template::parse("plain").unwrap().fill(&alert(), true), "plain");
    }

    #[test]
    fn a_wrong_placeholder_is_named() {
        assert!(Template::parse("{{summry}}").unwrap_err().starts_with("has {{summry}}; there are id, kind"));
        assert_eq!(Template::parse("{{summary").unwrap_err(), "has {{ without }}");
        assert!(Template::parse("}} {").is_ok());
    }
}
