//! The node's settings: which layer wins, and what a mistake is told as.

use std::{fs, path::Path, time::Duration};

use skep::{
    config::{Layer, LogFormat, Settings},
    telemetry,
};

fn load(flags: Layer, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::load(flags, &env).map_err(|error| error.to_string())
}

#[test]
fn flags_come_before_environment_before_file_before_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let only_data = || Layer { data: Some(dir.path().into()), ..Layer::default() };

    let bare = load(only_data(), &[]).unwrap();
    assert_eq!((bare.admin.to_string(), bare.listen.to_string()), ("127.0.0.1:7700".into(), "127.0.0.1:7701".into()));
    assert_eq!((bare.manifests, bare.plugins), (dir.path().join("manifests"), dir.path().join("plugins")));
    assert_eq!((bare.drain, bare.log, bare.file), (Duration::from_secs(10), LogFormat::Text, None));
    assert!(bare.guard);
    assert_eq!((bare.limits.history_bytes, bare.limits.history_days, bare.limits.residents), (1 << 30, 400, 10_000));

    let file = "listen = \"127.0.0.1:1\"\ndrain = \"5s\"\nmanifests = \"mine\"\nlog = \"json\"\n[admin]\naddress = \"127.0.0.1:2\"\nhosts = [\"Skep.example.com\", \"b:8443\"]\n[limits]\nhistory_bytes = \"512MiB\"\nresidents = 5\n[watch]\nguard = false\n[defaults]\nrestart = { intensity = 5 }\n";
    fs::write(dir.path().join("skep.toml"), file).unwrap();
    let from_file = load(Layer::default(), &[("SKEP_DATA", data)]).unwrap();
    assert_eq!((from_file.admin.port(), from_file.listen.port(), from_file.drain), (2, 1, Duration::from_secs(5)));
    assert_eq!(from_file.manifests, dir.path().join("mine"), "relative to the file");
    assert_eq!((from_file.limits.history_bytes, from_file.limits.residents, from_file.limits.history_days), (512 << 20, 5, 400));
    assert!(!from_file.guard);
    assert_eq!(
        from_file.admin_hosts.iter().map(|host| (host.name.as_str(), host.port)).collect::<Vec<_>>(),
        [("skep.example.com", None), ("b", Some(8443))]
    );
    assert!(from_file.defaults.unwrap().contains_key("restart"));

    let variables =
        [("SKEP_DATA", data), ("SKEP_LISTEN", "127.0.0.1:3"), ("SKEP_DRAIN", "7s"), ("SKEP_PLUGINS", "p"), ("SKEP_LOG_FORMAT", "text")];
    let flags = Layer { listen: Some("127.0.0.1:4".parse().unwrap()), ..Layer::default() };
    let all = load(flags, &variables).unwrap();
    assert_eq!((all.listen.port(), all.admin.port(), all.drain, all.log), (4, 2, Duration::from_secs(7), LogFormat::Text));
    assert_eq!(all.plugins, Path::new("p"));
}

#[test]
fn the_public_status_page_is_off_until_it_is_switched_on() {
    let dir = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        fs::write(dir.path().join("skep.toml"), text).unwrap();
        load(Layer { data: Some(dir.path().into()), ..Layer::default() }, &[])
    };
    for off in ["", "[status]\n", "[status]\ntitle = \"Ours\"\ngroups = [\"web\"]\n", "[status]\non = false\n"] {
        assert_eq!(load(off).unwrap().status, None, "{off}");
    }
    let status = load("[status]\non = true\ntitle = \"Ours\"\ngroups = [\"web\"]\nworkers = [\"nas\"]\n").unwrap().status.unwrap();
    assert_eq!((status.title.as_deref(), status.groups, status.workers), (Some("Ours"), vec!["web".to_owned()], vec!["nas".to_owned()]));
    let said = load("[status]\non = true\ntitle = \" \"\n").unwrap_err();
    assert!(said.contains("skep.toml:3:1: status.title: must have 1 to 200 bytes"), "{said}");
    assert!(load("[status]\nopen = true\n").unwrap_err().contains("unknown key \"open\""));
}

#[test]
fn the_variable_for_clients_is_no_address_to_bind() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let admin = |value| load(Layer::default(), &[("SKEP_DATA", data), ("SKEP_ADMIN", value)]).map(|settings| settings.admin.to_string());
    assert_eq!(admin("http://nas:7700").unwrap(), "127.0.0.1:7700");
    assert_eq!(admin("127.0.0.1:0").unwrap(), "127.0.0.1:0");
    assert!(admin("nas").unwrap_err().starts_with("SKEP_ADMIN: \"nas\" is not an address"));
}

#[test]
fn mistakes_in_the_settings_file_have_a_line_and_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("skep.toml");
    let said = |text: &str| {
        fs::write(&path, text).unwrap();
        load(Layer { data: Some(dir.path().into()), ..Layer::default() }, &[]).unwrap_err().replace(path.to_str().unwrap(), "skep.toml")
    };
    assert_eq!(
        said("drain = \"1s\"\n[limits]\nhistory_byte = 3\n"),
        "skep.toml:3:1: unknown key \"history_byte\" (hint: known keys here: history_bytes, history_days, residents, connections, followers)"
    );
    assert!(said("listen = \"nope\"\n").starts_with("skep.toml:1:10: \"nope\" is not an address to listen on; write IP:PORT"));
    assert_eq!(
        said("\n[limits]\n residents = 0\n"),
        "skep.toml:3:1: limits.residents: must be at least 1 (hint: leave it out for the default)"
    );
    assert!(said("[admin]\nhosts = [\"http://x\"]\n").contains("\"http://x\" is not a host name"));
    assert!(said("[limits]\nhistory_bytes = \"1GB\"\n").contains("\"1GB\" is not a size; write e.g. 512MiB or 1GiB"));
    assert!(said("data = \"x\"\n").contains("can't name another"));
    assert!(said("drain = ").starts_with("skep.toml:1:"));
    let missing = Layer { config: Some(dir.path().join("none.toml")), ..Layer::default() };
    assert!(load(missing, &[]).unwrap_err().contains("none.toml: No such file"));
}

#[test]
fn the_log_filter_comes_from_its_own_variable_first() {
    let filter = |variables: &[(&str, &str)]| {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        telemetry::filter(&env).map(|filter| filter.to_string())
    };
    assert_eq!(filter(&[("RUST_LOG", "debug"), ("SKEP_LOG", "warn")]).unwrap(), "warn");
    assert_eq!(filter(&[("RUST_LOG", "debug"), ("SKEP_LOG", "")]).unwrap(), "debug");
    assert!(filter(&[]).unwrap().contains("info"));
    assert!(filter(&[("SKEP_LOG", "skep=loud")]).unwrap_err().starts_with("SKEP_LOG: \"skep=loud\" is no log filter"));
}
