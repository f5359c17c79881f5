//! The manifests of `examples/kubernetes/`: they hold together, and what they start is what the program knows.

use std::path::Path;

use carme_tests::server::repository;
use carme_tests::{Client, ServerBuilder, python, wait_until};
use yaml_rust2::{Yaml, YamlLoader};

/// The objects of one manifest.
struct Manifest {
    objects: Vec<Yaml>,
}

impl Manifest {
    fn read(name: &str) -> Self {
        let text =
            std::fs::read_to_string(repository("examples/kubernetes").join(name)).expect("it is there");
        let objects = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for object in &objects {
            for key in ["apiVersion", "kind"] {
                assert!(
                    object[key].as_str().is_some(),
                    "{name} has an object without {key}"
                );
            }
            assert!(object["metadata"]["name"].as_str().is_some(), "{name}");
        }
        Manifest { objects }
    }

    fn of_kind(&self, kind: &str) -> &Yaml {
        let mut found = self
            .objects
            .iter()
            .filter(|object| object["kind"].as_str() == Some(kind));
        let object = found.next().unwrap_or_else(|| panic!("there is a {kind}"));
        assert!(found.next().is_none(), "there is one {kind}");
        object
    }

    fn pod(&self) -> &Yaml {
        &self.of_kind("Deployment")["spec"]["template"]
    }

    fn container(&self) -> &Yaml {
        let containers = &self.pod()["spec"]["containers"];
        assert_eq!(containers.as_vec().map(Vec::len), Some(1));
        &containers[0]
    }

    /// The number of a port of the container, by its name.
    fn port(&self, name: &str) -> i64 {
        let ports = self.container()["ports"].as_vec().expect("ports").iter();
        let mut ports = ports.filter(|port| port["name"].as_str() == Some(name));
        ports
            .next()
            .and_then(|port| port["containerPort"].as_i64())
            .expect(name)
    }

    /// The configuration, as it is and read.
    fn configuration(&self) -> (&str, toml::Table) {
        let text = self.of_kind("ConfigMap")["data"]["carme.toml"]
            .as_str()
            .expect("a text");
        (text, text.parse().expect("TOML"))
    }
}

fn strings(list: &Yaml) -> Vec<&str> {
    list.as_vec()
        .expect("a list")
        .iter()
        .filter_map(Yaml::as_str)
        .collect()
}

fn seconds(table: &toml::Table, section: &str, key: &str) -> i64 {
    let text = table[section][key].as_str().expect("a duration");
    text.strip_suffix('s')
        .and_then(|number| number.parse().ok())
        .expect("seconds")
}

const ALL: [&str; 2] = ["app.yaml", "front.yaml"];

#[test]
fn names_labels_and_ports_fit_together() {
    for name in ALL {
        let manifest = Manifest::read(name);
        let deployment = &manifest.of_kind("Deployment")["spec"];
        let service = &manifest.of_kind("Service")["spec"];
        let labels = &manifest.pod()["metadata"]["labels"];
        assert_eq!(&deployment["selector"]["matchLabels"], labels, "{name}");
        assert_eq!(&service["selector"], labels, "{name}");
        let volume = &manifest.pod()["spec"]["volumes"][0];
        assert_eq!(
            volume["configMap"]["name"],
            manifest.of_kind("ConfigMap")["metadata"]["name"]
        );
        assert_eq!(volume["name"], manifest.container()["volumeMounts"][0]["name"]);
        assert_eq!(service["ports"][0]["targetPort"].as_str(), Some("http"), "{name}");
        let (_, configuration) = manifest.configuration();
        let listens = |section: &str| {
            configuration[section]["listen"][0]
                .as_str()
                .expect("an address")
                .to_owned()
        };
        assert_eq!(
            listens("server"),
            format!("0.0.0.0:{}", manifest.port("http")),
            "{name}"
        );
        assert_eq!(
            listens("health"),
            format!("0.0.0.0:{}", manifest.port("health")),
            "{name}"
        );
    }
}

#[test]
fn the_fronts_look_for_the_pods_where_they_are() {
    let (app, front) = (Manifest::read("app.yaml"), Manifest::read("front.yaml"));
    let service = app.of_kind("Service");
    assert_eq!(
        service["spec"]["clusterIP"].as_str(),
        Some("None"),
        "it is headless"
    );
    let name = service["metadata"]["name"].as_str().expect("a name");
    let port = service["spec"]["ports"][0]["port"].as_i64().expect("a port");
    // Without an address of its own a service cannot change ports.
    assert_eq!(port, app.port("http"));
    let (_, configuration) = front.configuration();
    assert_eq!(
        configuration["balancers"]["app"]["discover"]["dns"].as_str(),
        Some(format!("{name}.default.svc.cluster.local:{port}").as_str())
    );
}

#[test]
fn a_pod_that_ends_has_the_time_it_needs() {
    for (name, least) in [("app.yaml", 30 + 5), ("front.yaml", 5)] {
        let manifest = Manifest::read(name);
        let command = strings(&manifest.container()["lifecycle"]["preStop"]["exec"]["command"]);
        let ["sleep", before] = command.as_slice() else {
            panic!("{command:?}");
        };
        let before: i64 = before.parse().expect("seconds");
        assert!(before >= least, "{name}: requests still come");
        let (_, configuration) = manifest.configuration();
        let graceful = seconds(&configuration, "server", "graceful_timeout");
        let all = manifest.pod()["spec"]["terminationGracePeriodSeconds"]
            .as_i64()
            .expect("seconds");
        assert!(all > before + graceful, "{name}: {all} > {before} + {graceful}");
    }
    let front = Manifest::read("front.yaml");
    let (_, configuration) = front.configuration();
    assert_eq!(
        configuration["balancers"]["app"]["discover"]["interval"].as_str(),
        Some("5s"),
        "which is what is counted with"
    );
}

#[test]
fn what_the_pods_run_serves_and_answers_the_probes() {
    for name in ALL {
        let manifest = Manifest::read(name);
        let container = manifest.container();
        assert_eq!(strings(&container["command"]), ["carme"]);
        let arguments = strings(&container["args"]);
        let mounted = container["volumeMounts"][0]["mountPath"]
            .as_str()
            .expect("a path");
        let file = format!("{mounted}/carme.toml");
        let folder = tempfile::tempdir().expect("a folder");
        let source = std::fs::read_to_string(repository("examples/hello.py")).expect("an application");
        let source = format!("{source}\n\napp = application\n");
        std::fs::write(folder.path().join("app.py"), source).expect("written");
        let here = folder.path().join("carme.toml");
        std::fs::write(&here, on_this_machine(manifest.configuration().0, folder.path())).expect("written");
        let here = here.to_str().expect("a path of UTF-8");
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|part| if *part == file { here } else { part })
            .collect();
        assert!(arguments.contains(&here), "{arguments:?}");
        let server = ServerBuilder::arguments(&arguments).start_watched();
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let get = &container[probe]["httpGet"];
            if get.is_badvalue() {
                assert_eq!((name, probe), ("front.yaml", "startupProbe"));
                continue;
            }
            assert_eq!(get["port"].as_str(), Some("health"), "{name} {probe}");
            let path = get["path"].as_str().expect("a path");
            // The first worker may not be ready yet.
            wait_until(
                &format!("{name} {probe} is answered; it said:\n{}", server.output()),
                || {
                    let mut client = Client::connect(server.monitor()).expect("it accepts");
                    client.get(path).expect("an answer").status() == 200
                },
            );
        }
    }
}

/// With ports that the system chooses, and the application and the interpreter that are here.
fn on_this_machine(text: &str, folder: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.to_str().expect("a path of UTF-8"));
    let site = format!("[apps.site]\npython = {}", quoted(&python::main()));
    text.replace("0.0.0.0:8000", "127.0.0.1:0")
        .replace("0.0.0.0:9180", "127.0.0.1:0")
        .replace("\"/srv/app\"", &quoted(folder))
        .replace("[apps.site]", &site)
        // No server answers there.
        .replace("interval = \"5s\"", "interval = \"5s\"\nserver = \"127.0.0.1:1\"")
}
