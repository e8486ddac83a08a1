//! Verbs that look at this machine: manifest files, components, what a host needs. None of them needs a host.

use std::{fs, path::PathBuf};

use super::{
    Console,
    args::{self, Host},
    backup,
    check::{self, Components},
    client::{Client, Place},
    doctor::{self, Verdict},
    env,
    failure::{Code, Failure},
    inspect,
    remote::connect,
    restore,
};
use crate::{
    api::host::HostView,
    config::{Layer, Settings},
    worker::{ComponentError, Examiner},
};

fn settings(host: &Host, config: Option<PathBuf>) -> Result<Settings, Failure> {
    Ok(Settings::load(Layer { config, data: host.data.clone(), ..Layer::default() }, &env)?)
}

pub fn check_files(host: &Host, args: args::Check, console: &mut Console) -> Result<Code, Failure> {
    let defaults = settings(host, args.config)?.defaults;
    let mut components = args.plugins.as_deref().map(Components::new);
    let judge = components.as_mut().map(|components| components as &mut dyn check::Judge);
    let report = check::run(&args.files, defaults, judge);
    console.answer(args.output, &report.problems, |paint| check::render(&report, paint))?;
    Ok(if report.problems.is_empty() { Code::Done } else { Code::Refused })
}

pub fn inspect_file(args: &args::Inspect, console: &mut Console) -> Result<Code, Failure> {
    let looked = Examiner::new().and_then(|examiner| examiner.surface(&args.file));
    let surface = looked.map_err(|error| {
        let code = match error {
            ComponentError::Unreadable { .. } if !args.file.exists() => Code::NotFound,
            ComponentError::Unreadable { .. } => Code::Failed,
            ComponentError::Invalid { .. } => Code::Refused,
        };
        Failure::new(code, error.to_string())
    })?;
    let seen = inspect::inspect(&surface);
    console.answer(args.output, &seen, |paint| inspect::render(&seen, paint))
}

pub async fn look(host: &Host, args: args::Doctor, console: &mut Console) -> Result<Code, Failure> {
    let settings = settings(host, args.config)?;
    // Whatever keeps a host from answering is one finding among others.
    let running: Option<HostView> = match connect(host) {
        Ok(client) => client.get("host", &[]).await.ok(),
        Err(_) => None,
    };
    let findings = doctor::look(&settings, running.as_ref(), console.paint.now);
    console.show(|paint| doctor::render(&findings, paint))?;
    Ok(if doctor::worst(&findings) == Verdict::Fail { Code::Failed } else { Code::Done })
}

pub async fn back_up(host: &Host, args: args::Backup, console: &mut Console) -> Result<Code, Failure> {
    let mut settings = settings(host, args.config)?;
    // A host that runs there knows which folders it was told to use.
    let client = Client::new(Place::resolve(None, None, &settings.data)?, None)?;
    if let Ok(running) = client.get::<HostView>("host", &[]).await
        && fs::canonicalize(&running.data).ok() == fs::canonicalize(&settings.data).ok()
    {
        (settings.manifests, settings.plugins) = (running.manifests.into(), running.plugins.into());
    }
    let label = backup::make(&settings, &args.folder, console.paint.now)?;
    console.show(|paint| backup::render(&label, &args.folder, paint))?;
    Ok(Code::Done)
}

pub fn restore(host: &Host, args: args::Restore, console: &mut Console) -> Result<Code, Failure> {
    let settings = settings(host, args.config)?;
    let done = restore::restore(&settings, &args.folder, args.force, console.paint.now)?;
    console.show(|paint| restore::render(&done, &settings, paint))?;
    Ok(Code::Done)
}
