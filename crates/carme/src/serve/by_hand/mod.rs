//! What commands change of balancers and their members, and how that is kept over a restart.

mod file;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carme_balancer::{Change, Member, MemberId, SettingChange};
use carme_config::{Balancer, Config, Mistake};

use super::balancers::{self, Balanced};
use super::server::{Now, Source};
use file::{Kept, KeptBalancer};
pub(super) use values::Values;

/// Where systemd lets a service keep what outlives it (`StateDirectory=`).
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// The settings of members that were added, by their URLs.
#[derive(Debug, Default)]
pub(super) struct Added(Mutex<BTreeMap<String, Values>>);

impl Added {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Values>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why something was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotChanged {
    #[error("{}", told(.0))]
    Mistake(Mistake),
    #[error(transparent)]
    Trust(#[from] balancers::TrustError),
    #[error(transparent)]
    Refused(#[from] carme_balancer::Refused),
}

/// Why the next start will not know of a change.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error("{} cannot be written: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("the server has a defect: {0}")]
    Defect(#[from] tokio::task::JoinError),
}

impl From<Mistake> for NotChanged {
    fn from(mistake: Mistake) -> Self {
        NotChanged::Mistake(mistake)
    }
}

fn told(mistake: &Mistake) -> String {
    match &mistake.cure {
        Some(cure) => format!("{}; {cure}", mistake.what),
        None => mistake.what.clone(),
    }
}

/// Changes a member; all of it, or nothing if a part is wrong.
pub(super) fn change(balanced: &Balanced, id: MemberId, values: &Values) -> Result<Vec<Change>, NotChanged> {
    balanced.cluster.with(|balancer, now| {
        let current = balancer.member(id).ok_or(carme_balancer::Refused::NoSuchMember)?;
        let changes = values::changes(current, values)?;
        for change in &changes {
            balancer.change(id, change.clone(), now)?;
        }
        Ok(changes)
    })
}

/// Changes a balancer; all of it, or nothing if a part is wrong.
pub(super) fn set(
    balanced: &Balanced,
    configured: &Balancer,
    values: &Values,
) -> Result<Vec<SettingChange>, NotChanged> {
    balanced.cluster.with(|balancer, now| {
        let changes = values::setting_changes(configured, balancer.settings(), values)?;
        for change in &changes {
            balancer.change_setting(change.clone(), now);
        }
        Ok(changes)
    })
}

/// Adds a member, and returns its URL as it is written. One that is configured and was removed comes back with what the
/// configuration says of it.
pub(super) fn add(
    balanced: &Balanced,
    configured: &Balancer,
    url: &str,
    values: &Values,
) -> Result<String, NotChanged> {
    let url = values::url(url);
    let known = configured
        .members
        .iter()
        .find(|member| member.url.to_string() == url);
    let member = match known {
        Some(known) => {
            let mut member = known.clone();
            member.set_all(values)?;
            member
        }
        None => carme_config::Member::of_settings(&url, values)?,
    };
    if member.url.scheme.is_secure() && !balanced.cluster.has_tls() {
        balanced.cluster.set_tls(Some(balancers::trust(configured)?));
    }
    balanced.cluster.add(balancers::node(&member))?;
    balanced.added.lock().insert(url.clone(), values.clone());
    Ok(url)
}

/// Everything that is otherwise than configured.
fn kept(balanced: &Balanced) -> KeptBalancer {
    let by_hand = balanced.cluster.look(|balancer| balancer.by_hand());
    let given = balanced.added.lock();
    let added = |member: &Member| {
        let mut values = given.get(&member.name).cloned().unwrap_or_default();
        // As it is now, and not as it was when it came.
        values.retain(|key, _| !values::is_changeable(key));
        values.extend(values::member_values(member));
        (member.name.clone(), values)
    };
    let changed = |(name, changes): &(String, Vec<Change>)| (name.clone(), values::written(changes));
    KeptBalancer {
        settings: values::settings_written(&by_hand.settings),
        removed: by_hand.removed.iter().cloned().collect(),
        added: by_hand.added.iter().map(added).collect(),
        changed: by_hand.changed.iter().map(changed).collect(),
    }
}

/// The file that keeps it: of the configuration file's name, in `state_directory`, or where systemd says, or beside the
/// configuration file.
fn place(config: &Config, source: &Source) -> Option<PathBuf> {
    let Source::File(file, _) = source else {
        return None;
    };
    let said = std::env::var_os(STATE_DIRECTORY);
    let by_systemd = said
        .as_deref()
        .and_then(|folders| std::env::split_paths(folders).next());
    let folder = config.server.state_directory.clone().or(by_systemd);
    let folder = folder.or_else(|| file.parent().map(Path::to_owned))?;
    let stem = file.file_stem()?;
    let mut name = stem.to_owned();
    name.push(".balancers.json");
    Some(folder.join(name))
}

/// Writes what is changed by hand in balancers that are to keep it. Waits for the disk.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(now: &Now, source: &Source) -> Result<(), NotKept> {
    let persistent = persistent(&now.config, &now.balancers);
    let kept = persistent.map(|(balanced, _)| (balanced.name.clone(), kept(balanced)));
    let kept = Kept::new(kept.filter(|(_, kept)| !kept.is_empty()).collect());
    let Some(file) =
        place(&now.config, source).filter(|_| now.config.balancers.iter().any(|one| one.persist))
    else {
        return Ok(());
    };
    kept.write(&file).map_err(|error| NotKept::File { file, error })
}

fn persistent<'n>(
    config: &'n Config,
    balancers: &'n [Arc<Balanced>],
) -> impl Iterator<Item = (&'n Arc<Balanced>, &'n Balancer)> {
    let both = balancers.iter().zip(&config.balancers);
    both.filter(|(_, configured)| configured.persist)
}

/// Does once more what was changed by hand before the last end. What cannot be done is told in the error log.
pub(super) fn restore(config: &Config, source: &Source, balancers: &[Arc<Balanced>]) {
    if persistent(config, balancers).next().is_none() {
        return;
    }
    let Some(place) = place(config, source) else {
        return;
    };
    let file = place.display();
    let mut kept = match Kept::read(&place) {
        Ok(kept) => kept,
        Err(error) => {
            let aside = file::put_aside(&place);
            tracing::warn!("{file}: what commands have changed is forgotten: {error}{aside}");
            return;
        }
    };
    for (balanced, configured) in persistent(config, balancers) {
        let Some(kept) = kept.balancers.remove(&balanced.name) else {
            continue;
        };
        for (what, why) in restore_one(balanced, configured, &kept) {
            tracing::warn!("{file}: balancer {}: {what} is left out: {why}", balanced.name);
        }
    }
}

/// What could not be done, and why.
fn restore_one(balanced: &Balanced, configured: &Balancer, kept: &KeptBalancer) -> Vec<(String, NotChanged)> {
    let mut left = Vec::new();
    if let Err(why) = set(balanced, configured, &kept.settings) {
        left.push(("its settings".to_owned(), why));
    }
    // Members that discovery finds are not there yet.
    let is_found = configured.discover.is_some();
    let find = |url: &str| balanced.cluster.look(|balancer| balancer.find(url));
    for url in &kept.removed {
        balanced.cluster.with(|balancer, now| match balancer.find(url) {
            Some(id) => drop(balancer.remove(id, now)),
            None if is_found => balancer.expect_removed(url.clone()),
            // One that is not configured any more needs no removal.
            None => {}
        });
    }
    for (url, values) in &kept.added {
        // One that is configured by now is as it is configured.
        if find(url).is_none()
            && let Err(why) = add(balanced, configured, url, values)
        {
            left.push((format!("the member {url}"), why));
        }
    }
    for (url, values) in &kept.changed {
        let changed = match find(url) {
            Some(id) => change(balanced, id, values).map(drop),
            None if is_found => expect(balanced, url, values),
            None => Ok(()),
        };
        if let Err(why) = changed {
            left.push((format!("the member {url}"), why));
        }
    }
    left
}

fn expect(balanced: &Balanced, url: &str, values: &Values) -> Result<(), NotChanged> {
    let changes = values::changes(&Member::new(url), values)?;
    balanced
        .cluster
        .with(|balancer, _| balancer.expect_changed(url.to_owned(), changes));
    Ok(())
}
