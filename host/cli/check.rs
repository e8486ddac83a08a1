//! `skep check`: manifest files looked at together, as a host would, without one. Applies nothing.

use std::{
    cell::OnceCell,
    collections::HashMap,
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
    manifest::{
        Parser, check_all, not_in_this_build,
        spec::{FileSpec, WorkerSpec},
    },
    worker::{Component, ComponentError, Examiner},
};

/// What looking gave.
#[derive(Debug, Default)]
pub struct Report {
    pub files: usize,
    pub workers: usize,
    /// By file as named, then line.
    pub problems: Vec<Problem>,
}

/// Says what is wrong with a worker's component; none when nothing is.
pub trait Judge {
    fn fault(&mut self, worker: &WorkerSpec) -> Option<Fault>;
}

/// Field, message and hint of a problem.
pub type Fault = (&'static str, String, Option<String>);

/// Each component must be in this folder.
#[derive(Debug)]
pub struct Present<'a>(pub &'a Path);

impl Judge for Present<'_> {
    fn fault(&mut self, worker: &WorkerSpec) -> Option<Fault> {
        let (component, folder) = (&*worker.run.component, self.0);
        let path = folder.join(component);
        let (message, hint) = match (path.exists(), path.is_symlink()) {
            (true, _) => return None,
            (false, true) => (format!("{component} is a link to a file that is not there"), "mend the link"),
            (false, false) => {
                (format!("{component} is not in {}", folder.display()), "put the file there, or name its folder with --plugins")
            }
        };
        Some(("component", message, Some(hint.to_owned())))
    }
}

/// Each component must be in this folder, be one that a host can run, and serve its worker.
#[derive(Debug)]
pub struct Components<'a> {
    folder: &'a Path,
    /// Made when there is something to look at.
    examiner: OnceCell<Result<Examiner, ComponentError>>,
    seen: HashMap<Arc<str>, Result<Component, String>>,
}

impl<'a> Components<'a> {
    pub fn new(folder: &'a Path) -> Self {
        Self { folder, examiner: OnceCell::new(), seen: HashMap::new() }
    }

    fn look(&self, component: &str) -> Result<Component, String> {
        let examiner = self.examiner.get_or_init(Examiner::new).as_ref().map_err(ToString::to_string)?;
        examiner.component(&self.folder.join(component)).map_err(|error| error.to_string())
    }
}

impl Judge for Components<'_> {
    fn fault(&mut self, worker: &WorkerSpec) -> Option<Fault> {
        let name = &worker.run.component;
        if let Some(fault) = Present(self.folder).fault(worker) {
            return Some(fault);
        }
        if !self.seen.contains_key(name) {
            self.seen.insert(name.clone(), self.look(name));
        }
        let component = match self.seen.get(name)? {
            Ok(component) => component,
            Err(reason) => return Some(("component", reason.clone(), None)),
        };
        if let Some(pinned) = worker.run.digest.as_ref().filter(|pinned| **pinned != component.digest) {
            let found = &component.digest;
            let hint = format!("write digest = \"{found}\" if that is the right file, else put the pinned one back");
            return Some(("digest", format!("{name} has {found}, not the pinned {pinned}"), Some(hint)));
        }
        let reason = component.can_serve(&worker.run).err()?;
        Some(("component", format!("{name} can't serve this worker: {reason}"), None))
    }
}

/// `defaults`: `[defaults]` of the settings. `judge`: looks at components, when that is asked.
pub fn run(paths: &[PathBuf], defaults: Option<toml::Table>, mut judge: Option<&mut dyn Judge>) -> Report {
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
            if let Some(judge) = &mut judge {
                report.problems.extend(spec.workers.iter().filter_map(|worker| {
                    let (field, message, hint) = judge.fault(worker)?;
                    Some(Problem {
                        file: worker.origin.file.to_string(),
                        line: worker.origin.line,
                        column: 0,
                        worker: Some(worker.name.to_string()),
                        field: Some(field.to_owned()),
                        message,
                        hint,
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
