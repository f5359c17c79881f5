//! Whom an app's workers run as.

use std::path::PathBuf;

use crate::draft::At;
use crate::problem::{Mistake, Problems};
use crate::surroundings::Surroundings;

/// A user of the system, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number; not root's.
    pub uid: u32,
    /// The number of its group, or of the one that was named.
    pub gid: u32,
    /// The numbers of all its groups.
    pub groups: Vec<u32>,
    /// Its home.
    pub home: PathBuf,
}

/// Looks up what `user` and `group` name, and whether this process can start others as that user.
pub(crate) fn account(
    user: Option<&At<String>>,
    group: Option<&At<String>>,
    surroundings: &Surroundings,
    problems: &mut Problems,
) -> Option<Account> {
    let Some(user) = user else {
        if let Some(group) = group {
            let mistake = Mistake::new("has no `user` beside it").cure("add user = \"www-data\"");
            problems.push(group.problem(mistake));
        }
        return None;
    };
    let mut account = match imp::user(&user.value, surroundings.is_root) {
        Ok(account) => account,
        Err(mistake) => {
            problems.push(user.problem(mistake));
            return None;
        }
    };
    if let Some(group) = group {
        match imp::group(&group.value) {
            Ok(gid) => account.gid = gid,
            Err(mistake) => problems.push(group.problem(mistake)),
        }
    }
    Some(account)
}

/// Whether this process can start others as other users.
pub(crate) fn is_root() -> bool {
    imp::is_root()
}

#[cfg(unix)]
mod imp {
    use uzers::os::unix::UserExt;

    use super::{Account, Mistake};

    pub(super) fn user(name: &str, is_root: bool) -> Result<Account, Mistake> {
        let Some(user) = uzers::get_user_by_name(name) else {
            return Err(Mistake::new(format!("names no user of this system: {name:?}"))
                .cure(format!("create it: sudo useradd --system {name}")));
        };
        if user.uid() == 0 {
            return Err(Mistake::new("is root, which no application should be")
                .cure("name another user, or leave it out to run as the server does"));
        }
        if !is_root {
            return Err(Mistake::new("can be used only when the server runs as root")
                .cure("start the server as root, or leave it out to run as the server does"));
        }
        let gid = user.primary_group_id();
        let groups = user.groups().unwrap_or_default();
        Ok(Account {
            name: name.to_owned(),
            uid: user.uid(),
            gid,
            groups: groups.iter().map(uzers::Group::gid).collect(),
            home: user.home_dir().to_owned(),
        })
    }

    pub(super) fn group(name: &str) -> Result<u32, Mistake> {
        uzers::get_group_by_name(name)
            .map(|group| group.gid())
            .ok_or_else(|| {
                Mistake::new(format!("names no group of this system: {name:?}"))
                    .cure(format!("create it: sudo groupadd --system {name}"))
            })
    }

    pub(super) fn is_root() -> bool {
        uzers::get_effective_uid() == 0
    }
}

#[cfg(windows)]
mod imp {
    use super::{Account, Mistake};

    const REFUSED: &str = "is for Linux: on Windows a process of another user needs that user's password";
    const CURE: &str = "run a service for each user: carme service install --user NAME";

    pub(super) fn user(_: &str, _: bool) -> Result<Account, Mistake> {
        Err(Mistake::new(REFUSED).cure(CURE))
    }

    pub(super) fn group(_: &str) -> Result<u32, Mistake> {
        Err(Mistake::new(REFUSED).cure(CURE))
    }

    pub(super) fn is_root() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn users_and_groups_of_the_system() {
        let wrong = |name, is_root| imp::user(name, is_root).expect_err(name).what;
        assert_eq!(
            wrong("no-such-user", true),
            "names no user of this system: \"no-such-user\""
        );
        assert_eq!(wrong("root", true), "is root, which no application should be");
        assert_eq!(
            wrong("nobody", false),
            "can be used only when the server runs as root"
        );
        let nobody = imp::user("nobody", true).expect("every system has it");
        assert_eq!(nobody.name, "nobody");
        assert!(
            nobody.uid != 0 && nobody.groups.contains(&nobody.gid),
            "{nobody:?}"
        );
        assert_eq!(
            imp::group("no-such-group").expect_err("none").what,
            "names no group of this system: \"no-such-group\""
        );
    }

    #[cfg(windows)]
    #[test]
    fn windows_has_services_for_that() {
        let mistake = imp::user("web", true).expect_err("it is refused");
        assert!(mistake.what.starts_with("is for Linux"), "{mistake:?}");
        assert!(
            mistake
                .cure
                .is_some_and(|cure| cure.contains("carme service install --user"))
        );
    }
}
