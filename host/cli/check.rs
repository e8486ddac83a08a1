//! `skep check`: manifest files looked at together, as a host would, without one. Applies nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    files,
    paint::{Paint, count},
    plan::problem_lines,
};
use crate::{
    facts::Problem,
    manifest::{Parser, check_all, not_in_this_build, spec::FileSpec},
};

/// What looking gave.
#[derive(Debug, Default)]
pub struct Report {
    pub files: usize,
    pub workers: usize,
    /// By file as named, then line.
    pub problems: Vec<Problem>,
}

/// `defaults`: `[defaults]` of the settings. `plugins`: where each component must be, when that is asked.
pub fn run(paths: &[PathBuf], defaults: Option<toml::Table>, plugins: Option<&Path>) -> Report {
    let mut parser = Parser::new(defaults);
    let mut report = Report { files: paths.len(), ..Report::default() };
    let mut good: Vec<(Arc<str>, FileSpec)> = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let text = match files::read(path) {
            Ok(text) => text,
            Err(problem) => {
                report.problems.push(*problem);
                continue;
            }
        };
        let parsed = parser.parse(&name, &text);
        report.problems.extend(parsed.problems);
        if let Some(spec) = parsed.spec {
            report.workers += spec.workers.len();
            report.problems.extend(not_in_this_build(&spec));
            if let Some(folder) = plugins {
                report.problems.extend(spec.workers.iter().filter_map(|worker| {
                    let missing = !folder.join(&*worker.run.component).is_file();
                    missing.then(|| Problem {
                        file: worker.origin.file.to_string(),
                        line: worker.origin.line,
                        column: 0,
                        worker: Some(worker.name.to_string()),
                        field: Some("component".to_owned()),
                        message: format!("{} is not in {}", worker.run.component, folder.display()),
                        hint: Some("put the file there, or name its folder with --plugins".to_owned()),
                    })
                }));
            }
            good.push((Arc::from(name), spec));
        }
    }
    let together: Vec<(Arc<str>, &FileSpec)> = good.iter().map(|(name, spec)| (name.clone(), spec)).collect();
    report.problems.extend(check_all(&together));
    let place = |file: &str| paths.iter().position(|path| path.as_os_str() == file);
    report.problems.sort_by_key(|problem| (place(&problem.file), problem.line, problem.column));
    report
}

/// Every problem, then the sum.
pub fn render(report: &Report, paint: &Paint) -> String {
    let files = count(report.files, "file");
    if report.problems.is_empty() {
        return format!("{files}, {}: no problems\n", count(report.workers, "worker"));
    }
    let mut text: String = report.problems.iter().map(|problem| problem_lines(problem, paint)).collect();
    let mut broken: Vec<&str> = report.problems.iter().map(|problem| problem.file.as_str()).collect();
    broken.sort_unstable();
    broken.dedup();
    text.push_str(&format!("\n{} in {} of {files}\n", count(report.problems.len(), "problem"), broken.len()));
    text
}
