//! Whom a Windows service runs as.

use std::ffi::OsString;
use std::io::{self, BufRead};

/// The account of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// As the system itself: may do anything.
    LocalSystem,
    /// One that needs no password: the system's own, a service's virtual one, a managed one (`DOMAIN\name$`).
    WithoutPassword(String),
    /// One of the machine or of a domain.
    WithPassword(String),
}

const LOCAL_SERVICE: &str = r"NT AUTHORITY\LocalService";
const NETWORK_SERVICE: &str = r"NT AUTHORITY\NetworkService";

impl Account {
    /// What `--user` says; the one with the fewest rights if it says nothing.
    pub(super) fn parse(user: Option<&str>) -> Self {
        let Some(user) = user else {
            return Self::WithoutPassword(LOCAL_SERVICE.to_owned());
        };
        let lower = user.to_ascii_lowercase();
        let plain = lower.strip_prefix(r"nt authority\").unwrap_or(&lower);
        match plain.replace(' ', "").as_str() {
            "localservice" => Self::WithoutPassword(LOCAL_SERVICE.to_owned()),
            "networkservice" => Self::WithoutPassword(NETWORK_SERVICE.to_owned()),
            "localsystem" | "system" => Self::LocalSystem,
            _ if lower.starts_with(r"nt service\") || lower.ends_with('$') => {
                Self::WithoutPassword(user.to_owned())
            }
            _ if user.contains(['\\', '@']) => Self::WithPassword(user.to_owned()),
            // Of this machine.
            _ => Self::WithPassword(format!(r".\{user}")),
        }
    }

    /// As the service control manager wants it; `None` for itself.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::LocalSystem => None,
            Self::WithoutPassword(name) | Self::WithPassword(name) => Some(name),
        }
    }

    /// As `icacls` takes it in every language of Windows; `None` for the system, which may write everywhere.
    pub(super) fn for_icacls(&self) -> Option<&str> {
        match self.name()? {
            LOCAL_SERVICE => Some("*S-1-5-19"),
            NETWORK_SERVICE => Some("*S-1-5-20"),
            other => Some(other),
        }
    }

    /// As people know it.
    pub(super) fn shown(&self) -> &str {
        self.name().unwrap_or("LocalSystem")
    }

    /// Asks for the password, or reads it from a pipe; `None` where there is none.
    pub(super) fn password(&self, from_stdin: bool) -> io::Result<Option<OsString>> {
        let Self::WithPassword(name) = self else {
            return Ok(None);
        };
        let password = if from_stdin {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            rpassword::prompt_password(format!("Password of {name}: "))?
        };
        Ok(Some(password.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        let without = |name: &str| Account::WithoutPassword(name.to_owned());
        let with = |name: &str| Account::WithPassword(name.to_owned());
        for (user, account) in [
            (None, without(LOCAL_SERVICE)),
            (Some("LocalService"), without(LOCAL_SERVICE)),
            (Some("local service"), without(LOCAL_SERVICE)),
            (Some(r"NT Authority\Network Service"), without(NETWORK_SERVICE)),
            (Some("networkservice"), without(NETWORK_SERVICE)),
            (Some("SYSTEM"), Account::LocalSystem),
            (Some("LocalSystem"), Account::LocalSystem),
            (Some(r"NT SERVICE\carme-shop"), without(r"NT SERVICE\carme-shop")),
            (Some(r"CORP\web$"), without(r"CORP\web$")),
            (Some("web"), with(r".\web")),
            (Some(r"CORP\web"), with(r"CORP\web")),
            (Some("web@corp.example"), with("web@corp.example")),
        ] {
            assert_eq!(Account::parse(user), account, "{user:?}");
        }
        assert_eq!(Account::LocalSystem.name(), None);
        assert_eq!(Account::LocalSystem.for_icacls(), None);
        assert_eq!(Account::parse(None).for_icacls(), Some("*S-1-5-19"));
        assert_eq!(with(r".\web").for_icacls(), Some(r".\web"));
    }
}
