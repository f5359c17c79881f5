//! Apps whose workers run as users of their own: what they are, what works, and what they cannot see of each other.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use carme_tests::{Server, ServerBuilder, process, skip, wait_until};

/// Two that every Debian, Fedora and Alpine has.
const USERS: [&str; 2] = ["daemon", "nobody"];

const APP: &str = r#"
import ctypes, errno, grp, os, pwd, socket
libc = ctypes.CDLL(None, use_errno=True)

def attempt(what):
    try:
        return str(what())
    except OSError as error:
        return errno.errorcode[error.errno]

def ptrace(pid):
    if libc.ptrace(16, pid, None, None) == 0:
        libc.ptrace(17, pid, None, None)
        return "attached"
    raise OSError(ctypes.get_errno(), "ptrace")

def death_signal():
    number = ctypes.c_int()
    libc.prctl(2, ctypes.byref(number))
    return number.value

# The main thread's, which imports: others have none.
DEATH_SIGNAL = death_signal()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/who":
        user = pwd.getpwuid(os.getuid())
        same = len({*os.getresuid()}) == 1 and len({*os.getresgid()}) == 1
        answer = [user.pw_name, grp.getgrgid(os.getgid()).gr_name, same, sorted(os.getgroups()) == sorted(set(os.getgrouplist(user.pw_name, user.pw_gid))),
                  os.environ["USER"], os.environ["LOGNAME"], os.environ["HOME"] == user.pw_dir, DEATH_SIGNAL]
    elif path == "/pid":
        answer = [os.getpid()]
    elif path == "/regions":
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
        answer = [len({*(line.split()[4] for line in open("/proc/self/maps") if "memfd:" in line)}), sum("memfd:" in link for link in links)]
    elif path == "/secret":
        answer = ["SECRET" in os.environ, os.environ.get("SECRET")]
    elif path == "/other":
        of = f"/proc/{query}"
        answer = [attempt(lambda: open(of + "/environ").read()), attempt(lambda: os.listdir(of + "/fd")),
                  attempt(lambda: open(of + "/maps").read()), attempt(lambda: os.listdir(of + "/map_files")),
                  attempt(lambda: open(of + "/mem", "rb")), attempt(lambda: ptrace(int(query))), attempt(lambda: os.kill(int(query), 0))]
    elif path == "/connect":
        def connect():
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(query)
        answer = [attempt(connect)]
    else:
        answer = [len(environ["wsgi.input"].read())]
    return [" ".join(map(str, answer)).encode()]
"#;

/// An interpreter that other users may run, or why there is none.
fn interpreter() -> Result<PathBuf, &'static str> {
    let id = Command::new("id").arg("-u").output().expect("there is id");
    if id.stdout != b"0\n" {
        return Err("only root can start workers as other users");
    }
    let python = Path::new("/usr/bin/python3");
    let modern = "import sys; sys.exit(sys.version_info < (3, 9))";
    let runs = Command::new(python)
        .args(["-c", modern])
        .stdin(Stdio::null())
        .status();
    match runs.is_ok_and(|status| status.success()) {
        true => Ok(python.to_owned()),
        false => Err("there is no /usr/bin/python3 of version 3.9 or later"),
    }
}

/// Two apps under two users, at `/a` and `/b`.
fn two_apps(python: &Path) -> Server {
    let builder = ServerBuilder::app(APP);
    let folder = builder.directory().to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("others may look");
    let app = |name: &str, user: &str| {
        format!(
            "[apps.{name}]\ntarget = \"app\"\nworkers = 1\npython = '{}'\nuser = \"{user}\"\nenv = {{ SECRET = \"{name}\" }}\n\
             [[locations]]\npath = \"/{name}\"\napp = \"{name}\"\n",
            python.display()
        )
    };
    let toml = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n{}{}",
        app("a", USERS[0]),
        app("b", USERS[1])
    );
    fs::write(folder.join("carme.toml"), toml).expect("written");
    let cache = folder.join("cache");
    fs::create_dir(&cache).expect("created");
    builder
        .configured(&folder.join("carme.toml"))
        // Where what workers load is put; not into the system's cache.
        .env("CACHE_DIRECTORY", &cache)
        .start()
}

#[test]
fn workers_run_as_the_users_of_their_apps_and_see_nothing_of_each_other() {
    let python = match interpreter() {
        Ok(python) => python,
        Err(why) => return skip::unsuited(why),
    };
    let mut server = two_apps(&python);
    let text = |path: &str| server.get(path).text();
    for (app, user) in ["a", "b"].into_iter().zip(USERS) {
        let who = text(&format!("/{app}/who"));
        let mut words = who.split(' ');
        assert_eq!(words.next(), Some(user), "{who}");
        let rest: Vec<&str> = words.skip(1).collect();
        assert_eq!(rest, ["True", "True", user, user, "True", "9"], "{who}");
        assert_eq!(text(&format!("/{app}/secret")), format!("True {app}"));
        assert_eq!(
            text(&format!("/{app}/regions")),
            "1 0",
            "its own region alone, mapped, and no descriptor"
        );
        // A body that comes as a file of the front's.
        let body = vec![b'x'; 3 << 20];
        let answer = server
            .connect()
            .post(&format!("/{app}/"), &body)
            .expect("an answer");
        assert_eq!(answer.text(), (3 << 20).to_string());
    }
    let pids = ["a", "b"].map(|app| text(&format!("/{app}/pid")).parse::<u32>().expect("a pid"));
    let front = server.pid();
    for (app, others) in [("a", [pids[1], front]), ("b", [pids[0], front])] {
        for other in others {
            let answer = text(&format!("/{app}/other?{other}"));
            // Who may not look gets EACCES, who may not touch EPERM.
            assert_eq!(
                answer, "EACCES EACCES EACCES EACCES EACCES EPERM EPERM",
                "{app} of {other}"
            );
        }
        let control = control_socket(&server);
        let answer = text(&format!("/{app}/connect?{}", control.display()));
        assert_eq!(answer, "EACCES", "{}", control.display());
    }
    server.kill();
    wait_until("the workers have gone with the front", || {
        !pids.iter().any(|pid| process::exists(*pid))
    });
}

/// Where commands reach the server.
fn control_socket(server: &Server) -> PathBuf {
    let entries = fs::read_dir(server.control_dir()).expect("it is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let is_socket = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sock");
    paths.into_iter().find(is_socket).expect("a socket")
}

#[test]
fn who_cannot_be_is_said() {
    let builder = ServerBuilder::app(APP);
    let file = builder.directory().join("carme.toml");
    let check = |setting: &str| {
        fs::write(&file, format!("[apps.a]\ntarget = \"app\"\n{setting}\n")).expect("written");
        let (_, _, said) = ServerBuilder::arguments(&["check", "-c", file.to_str().expect("text")]).run();
        said
    };
    for (setting, what) in [
        (
            "user = \"no-such-user\"",
            "`user` names no user of this system: \"no-such-user\"",
        ),
        (
            "user = \"root\"",
            "`user` is root, which no application should be",
        ),
        ("group = \"daemon\"", "`group` has no `user` beside it"),
    ] {
        let said = check(setting);
        assert!(said.contains(what), "{setting}: {said}");
    }
}
