//! `[tls]`, `--certificate` and `--key`: what right ones mean, and what each kind of mistake is told.

mod site;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use carme_config::{
    Bind, CertificateFiles, CertificateSource, ClientAuth, Config, MinVersion, PfxFile, PfxPassword,
    ServeOptions, Surroundings,
};
use rcgen::{CertificateParams, KeyPair};
use site::Site;

/// A site with `a.pem` and `a.key`, `b.pem` and `b.key`, and `both.pem` with all of `a`.
fn site() -> Site {
    let site = Site::new();
    for name in ["a", "b"] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![format!("{name}.test")]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 12, 31);
        let certificate = params.self_signed(&key).expect("a certificate");
        site.write(format!("{name}.pem"), &certificate.pem());
        site.write(format!("{name}.key"), &key.serialize_pem());
        if name == "a" {
            site.write("both.pem", &(certificate.pem() + &key.serialize_pem()));
        }
    }
    site
}

fn files(site: &Site, certificate: &str, key: &str) -> CertificateSource {
    CertificateSource::Pem(CertificateFiles {
        certificate: site.path().join(certificate),
        key: site.path().join(key),
    })
}

const LISTEN: &str =
    "[server]\nlisten = [\"127.0.0.1:80\", \"https://127.0.0.1:443\"]\n[apps.site]\ntarget = \"app\"\n";

#[test]
fn a_full_section() {
    let site = site();
    let text = format!(
        "{LISTEN}[tls]\ncertificate = \"both.pem\"\nmin_version = \"1.3\"\nclient_ca = \"b.pem\"\n\
         client_auth = \"optional\"\nredirect_to_https = true\nhsts = \"365d\"\n\
         [[tls.certificates]]\ncertificate = \"b.pem\"\nkey = \"b.key\"\n"
    );
    let config = site.toml(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        config.server.listen[1],
        Bind::Tls("127.0.0.1:443".parse().expect("an address"))
    );
    let tls = config.tls.expect("it was written");
    assert_eq!(
        tls.settings.certificates,
        [
            files(&site, "both.pem", "both.pem"),
            files(&site, "b.pem", "b.key")
        ]
    );
    assert_eq!(tls.settings.min_version, MinVersion::Tls13);
    assert_eq!(
        tls.settings.clients,
        ClientAuth::Optional(site.path().join("b.pem"))
    );
    assert_eq!(tls.redirect_to, Some(443));
    assert_eq!(tls.hsts, Some(Duration::from_secs(365 * 24 * 60 * 60)));
}

#[test]
fn defaults() {
    let site = site();
    let tls = |more: &str| {
        let text = format!("{LISTEN}[tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n{more}");
        let config = site.toml(&text).unwrap_or_else(|problems| panic!("{problems}"));
        config.tls.expect("it was written")
    };
    let plain = tls("");
    assert_eq!(plain.settings.min_version, MinVersion::Tls12);
    assert_eq!(plain.settings.clients, ClientAuth::None);
    assert_eq!((plain.redirect_to, plain.hsts), (None, None));
    let ca = site.path().join("b.pem");
    assert_eq!(
        tls("client_ca = \"b.pem\"").settings.clients,
        ClientAuth::Required(ca)
    );
    assert_eq!(
        tls("client_ca = \"b.pem\"\nclient_auth = \"none\"")
            .settings
            .clients,
        ClientAuth::None
    );
    let config = site.toml("[apps.site]\ntarget = \"app\"\n");
    assert_eq!(config.unwrap_or_else(|problems| panic!("{problems}")).tls, None);
}

#[test]
fn mistakes_are_told_with_their_places() {
    let site = site();
    let cases: [(&str, &[&str]); 12] = [
        (
            "",
            &[
                "carme.toml:2:27: `listen` has https://127.0.0.1:443, and there is no certificate for it | help: add \
               [tls] with certificate = \"site.pem\" and key = \"site.key\"",
            ],
        ),
        (
            "[tls]\n",
            &[
                "carme.toml:5:1: [tls] has no `certificate` | help: write certificate = \"site.pem\" and key = \"site.key\"",
            ],
        ),
        (
            "[tls]\ncertificate = \"a.pem\"\nkey = \"b.key\"\n",
            &[
                "carme.toml:7:7: `key` names SITE/b.key, which is not the key of the certificate in SITE/a.pem | help: \
               name the key that the certificate was requested with",
            ],
        ),
        (
            "[tls]\ncertificate = \"a.pem\"\n",
            &[
                "carme.toml:6:15: `certificate` names SITE/a.pem, which has a certificate and no key | help: name the file \
               of the key",
            ],
        ),
        (
            "[tls]\ncertificate = \"aa.pem\"\nkey = \"a.key\"\n",
            &[
                "carme.toml:6:15: `certificate` names SITE/aa.pem, which does not exist | help: did you mean SITE/a.pem?",
            ],
        ),
        (
            "[tls]\ncertificate = \"both.pem\"\nmin_version = \"1.1\"\nclient_auth = \"optionel\"\nhsts = \"1 year\"\n\
             redirect_to_https = \"yes\"\n",
            &[
                "carme.toml:7:15: `min_version` must be \"1.2\" or \"1.3\", found \"1.1\" | help: write \"1.2\": browsers \
                 have given up what is older, and so has Carme (RFC 8996)",
                "carme.toml:8:15: `client_auth` must be \"none\", \"optional\" or \"required\", found \"optionel\" | help: \
                 did you mean `optional`?",
                "carme.toml:9:8: `hsts` must be a duration such as \"30s\" or \"500ms\", found \"1 year\"",
                "carme.toml:10:21: `redirect_to_https` must be true or false, found the string \"yes\"",
            ],
        ),
        (
            "[tls]\ncertificate = \"both.pem\"\nclient_auth = \"required\"\n",
            &[
                "carme.toml:7:15: `client_auth` says nothing of who may have signed the clients' certificates | help: add \
               client_ca = \"ca.pem\" with the authorities",
            ],
        ),
        (
            "[tls]\ncertificate = \"both.pem\"\nclient_ca = \"a.key\"\n",
            &[
                "carme.toml:7:13: `client_ca` names SITE/a.key, which has a key and no certificate | help: name the file of \
               the certificate",
            ],
        ),
        (
            "[tls]\ncertificate = \"both.pem\"\n[[tls.certificates]]\nkey = \"b.key\"\n",
            &[
                "carme.toml:7:1: [[tls.certificates]] has no `certificate` | help: write certificate = \"other.pem\"",
            ],
        ),
        (
            "[tls]\ncertificate = \"both.pem\"\nredirect_to_http = true\n",
            &[
                "carme.toml:7:1: unknown key `redirect_to_http` in [tls] | help: did you mean `redirect_to_https`? [tls] knows: \
               certificate, key, certificates, min_version, client_ca, client_auth, redirect_to_https, hsts",
            ],
        ),
        (
            "tls = true\n",
            &[
                "carme.toml:2:27: `listen` has https://127.0.0.1:443",
                "carme.toml:5:1: unknown key `tls` in [apps.site] | help: `tls` belongs into the top of the file",
            ],
        ),
        (
            "[tls]\ncertificate = [\"both.pem\"]\n",
            &["carme.toml:6:15: `certificate` must be a string, found a list"],
        ),
    ];
    for (text, expected) in cases {
        let problems = site.toml(&format!("{LISTEN}{text}")).expect_err(text);
        let lines = site.lines(&problems);
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}\ninstead of\n{expected}");
        }
    }
    for (listen, more, expected) in [
        (
            "127.0.0.1:80",
            "",
            "carme.toml:5:1: [tls] is used by no address | help: listen for it: \"https://0.0.0.0:443\" beside \
             \"0.0.0.0:80\", or in its place",
        ),
        (
            "https://127.0.0.1:443",
            "redirect_to_https = true\n",
            "carme.toml:7:21: `redirect_to_https` has no address of plain HTTP to redirect from | help: listen there too: \
             \"0.0.0.0:80\"",
        ),
    ] {
        let text = format!(
            "[server]\nlisten = \"{listen}\"\n[apps.site]\ntarget = \"app\"\n[tls]\ncertificate = \"both.pem\"\n{more}"
        );
        let problems = site.toml(&text).expect_err(listen);
        assert_eq!(site.lines(&problems), [expected]);
    }
    // TLS or not, an address can be had once.
    let twice = LISTEN.replace("127.0.0.1:80", "127.0.0.1:443") + "[tls]\ncertificate = \"both.pem\"\n";
    let problems = site.toml(&twice).expect_err("twice");
    assert_eq!(
        site.lines(&problems),
        ["carme.toml:2:28: `listen` has https://127.0.0.1:443 twice"]
    );
}

/// A server starts with a certificate that has expired; only who asks for the time is told.
#[test]
fn certificates_are_judged_by_the_given_time_only() {
    let site = site();
    let text = format!("{LISTEN}[tls]\ncertificate = \"both.pem\"\n");
    let at = |now: Option<SystemTime>| {
        let surroundings = Surroundings {
            now,
            ..site.surroundings()
        };
        Config::from_toml(&text, Path::new("carme.toml"), &surroundings)
            .map_err(|problems| site.lines(&problems))
    };
    let day = |day: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(day * 24 * 60 * 60));
    assert!(at(None).is_ok());
    assert!(at(day(20_600)).is_ok());
    assert!(at(day(20_815)).is_ok(), "its last days are no mistake");
    for (now, complaint) in [
        (day(20_000), "is not valid before 2026-01-01"),
        (day(20_900), "expired on 2026-12-31"),
    ] {
        let lines = at(now).expect_err(complaint);
        assert_eq!(
            lines,
            [format!(
                "carme.toml:6:15: `certificate` names a certificate that clients refuse: SITE/both.pem {complaint} | help: \
                 renew it, or set this machine's clock"
            )]
        );
    }
}

#[test]
fn options() {
    let site = site();
    let options = |bind: &[&str], certificate: Option<&str>, key: Option<&str>| {
        let own = |text: &str| text.to_owned();
        site.options(&ServeOptions {
            target: Some("app".to_owned()),
            bind: bind.iter().map(|text| own(text)).collect(),
            certificate: certificate.map(own),
            key: key.map(own),
            ..ServeOptions::default()
        })
        .map_err(|problems| site.lines(&problems))
    };
    let config = options(&[], Some("a.pem"), Some("a.key")).expect("all is well");
    assert_eq!(config.server.listen[0].to_string(), "https://127.0.0.1:8000");
    let tls = config.tls.expect("it was given");
    assert_eq!(tls.settings.certificates, [files(&site, "a.pem", "a.key")]);
    let config = options(&["https://:443", ":80"], Some("both.pem"), None).expect("all is well");
    let listen: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["https://0.0.0.0:443", "http://0.0.0.0:80"]);

    for (bind, certificate, key, expected) in [
        (
            &["https://:443"][..],
            None,
            None,
            "command line: --bind has https://0.0.0.0:443, and there is no certificate for it | help: add --certificate \
             site.pem --key site.key",
        ),
        (
            &[],
            None,
            Some("a.key"),
            "command line: --key has no certificate beside it | help: add --certificate site.pem",
        ),
        (
            &[":80"],
            Some("a.pem"),
            Some("a.key"),
            "command line: --certificate is used by no address | help: listen for it: \"https://0.0.0.0:443\" beside \
             \"0.0.0.0:80\", or in its place",
        ),
        (
            &[],
            Some("a.pem"),
            Some("b.key"),
            "command line: --key names SITE/b.key, which is not the key of the certificate in SITE/a.pem | help: name the \
             key that the certificate was requested with",
        ),
    ] {
        let lines = options(bind, certificate, key).expect_err(expected);
        assert_eq!(lines, [expected]);
    }
}

#[test]
fn paths_are_seen_from_the_file() {
    let site = site();
    site.write("conf/app.py", "");
    let text = LISTEN.to_owned() + "[tls]\ncertificate = \"../both.pem\"\n";
    let config = Config::from_toml(&text, Path::new("conf/carme.toml"), &site.surroundings())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let tls = config.tls.expect("it was written");
    let certificate: PathBuf = tls.settings.certificates[0].certificate().to_owned();
    assert!(
        certificate.is_absolute() && certificate.is_file(),
        "{}",
        certificate.display()
    );
}

/// A site whose PFX file has the password `sésame`.
fn pfx_site() -> Site {
    let site = Site::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../carme-tls/src/testing/3des.pfx");
    std::fs::copy(fixture, site.path().join("site.pfx")).expect("copied");
    site.write("right", "sésame\r\n");
    site.write("wrong", "Sesam");
    site
}

#[test]
fn pfx_files() {
    let site = pfx_site();
    let pfx = site.path().join("site.pfx");
    let certificates = |lines: &str| {
        let config = site.toml(&format!("{LISTEN}[tls]\n{lines}"));
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!format!("{config:?}").contains("sésame"));
        config.tls.expect("it was written").settings.certificates
    };
    let with = |password| {
        CertificateSource::Pfx(PfxFile {
            pfx: pfx.clone(),
            password,
        })
    };
    let written = with(PfxPassword::Written("sésame".to_owned()));
    let in_file = with(PfxPassword::File(site.path().join("right")));
    assert_eq!(
        certificates("pfx = \"site.pfx\"\npfx_password = \"sésame\"")[0],
        written
    );
    assert_eq!(
        certificates(
            "pfx = \"site.pfx\"\npfx_password_file = \"right\"\n\
             [[tls.certificates]]\npfx = \"site.pfx\"\npfx_password = \"sésame\""
        ),
        [in_file, written]
    );
}

#[test]
fn mistakes_with_pfx_files_are_told_with_their_places() {
    let site = pfx_site();
    for (lines, expected) in [
        (
            "pfx = \"site.pfx\"",
            "carme.toml:6:7: `pfx` names SITE/site.pfx, which has a password | help: add pfx_password_file = \
             \"site.password\", a file with it that nobody else may read",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password = \"Sesam\"",
            "carme.toml:7:16: `pfx_password` does not open SITE/site.pfx | help: give the one that it was exported with",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password_file = \"wrong\"",
            "carme.toml:7:21: `pfx_password_file` does not open SITE/site.pfx | help: give the one that it was exported \
             with",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password_file = \"wrongs\"",
            "carme.toml:7:21: `pfx_password_file` names SITE/wrongs, which does not exist | help: did you mean SITE/wrong?",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password_file = \"right\"\npfx_password = \"sésame\"",
            "carme.toml:8:16: `pfx_password` is given beside `pfx_password_file` | help: keep the file",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password_file = \"right\"\nkey = \"a.key\"",
            "carme.toml:8:7: `key` is given beside `pfx` | help: leave it out: a PFX file has its key inside",
        ),
        (
            "pfx = \"site.pfx\"\npfx_password_file = \"right\"\ncertificate = \"a.pem\"",
            "carme.toml:6:7: `pfx` is given beside `certificate` | help: keep one of them; a second certificate has its \
             own [[tls.certificates]]",
        ),
        (
            "certificate = \"site.pfx\"\npfx_password_file = \"right\"",
            "carme.toml:7:21: `pfx_password_file` is for a PFX file, and there is none | help: name it by `pfx`, in the \
             place of `certificate`",
        ),
        (
            "pfx = \"right\"",
            "carme.toml:6:7: `pfx` names SITE/right, which is not PFX (PKCS#12)",
        ),
    ] {
        let problems = site.toml(&format!("{LISTEN}[tls]\n{lines}\n")).expect_err(lines);
        let lines = site.lines(&problems);
        assert!(
            lines.contains(&expected.to_owned()),
            "{lines:#?}\ninstead of\n{expected}"
        );
    }
}
