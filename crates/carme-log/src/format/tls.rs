//! The names of mod_ssl's variables. Which of them have a value is the server's business; a name that mod_ssl does not
//! know is a slip.

use super::directive::Field;
use super::error::Problem;

const NAMES: &[&str] = &[
    "HTTPS",
    "SSL_CIPHER",
    "SSL_CIPHER_ALGKEYSIZE",
    "SSL_CIPHER_EXPORT",
    "SSL_CIPHER_USEKEYSIZE",
    "SSL_CLIENT_A_KEY",
    "SSL_CLIENT_A_SIG",
    "SSL_CLIENT_CERT",
    "SSL_CLIENT_CERT_RFC4523_CEA",
    "SSL_CLIENT_I_DN",
    "SSL_CLIENT_M_SERIAL",
    "SSL_CLIENT_M_VERSION",
    "SSL_CLIENT_S_DN",
    "SSL_CLIENT_VERIFY",
    "SSL_CLIENT_V_END",
    "SSL_CLIENT_V_REMAIN",
    "SSL_CLIENT_V_START",
    "SSL_COMPRESS_METHOD",
    "SSL_PROTOCOL",
    "SSL_SECURE_RENEG",
    "SSL_SERVER_A_KEY",
    "SSL_SERVER_A_SIG",
    "SSL_SERVER_CERT",
    "SSL_SERVER_I_DN",
    "SSL_SERVER_M_SERIAL",
    "SSL_SERVER_M_VERSION",
    "SSL_SERVER_S_DN",
    "SSL_SERVER_V_END",
    "SSL_SERVER_V_START",
    "SSL_SESSION_ID",
    "SSL_SESSION_RESUMED",
    "SSL_SRP_USER",
    "SSL_SRP_USERINFO",
    "SSL_TLS_SNI",
    "SSL_VERSION_INTERFACE",
    "SSL_VERSION_LIBRARY",
];

/// What these begin with is followed by a part of a name or by a number.
const PREFIXES: &[&str] = &[
    "SSL_CLIENT_CERT_CHAIN_",
    "SSL_CLIENT_I_DN_",
    "SSL_CLIENT_SAN_",
    "SSL_CLIENT_S_DN_",
    "SSL_SERVER_I_DN_",
    "SSL_SERVER_SAN_",
    "SSL_SERVER_S_DN_",
];

pub(super) fn is_variable(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES
            .iter()
            .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
}

pub(super) fn field(name: &str) -> Result<Field, (Problem, Option<String>)> {
    // mod_ssl compares without regard to case.
    let upper = name.to_ascii_uppercase();
    if is_variable(&upper) {
        // Only the end of what begins with a prefix may be in lower case: `SSL_CLIENT_SAN_Email_0`.
        let kept = NAMES.contains(&&*upper);
        return Ok(Field::Tls(if kept { upper.into() } else { name.into() }));
    }
    // All of them begin alike, so they have to be more alike than that.
    let likely = NAMES
        .iter()
        .map(|known| (strsim::jaro_winkler(&upper, known), *known))
        .filter(|(likeness, _)| *likeness > 0.9)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Err((Problem::TlsUnknown, likely.map(|(_, known)| known.to_owned())))
}
