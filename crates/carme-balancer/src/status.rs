//! A member's status: Apache's letters, as in `status=+H-E` of `BalancerMember`.
//!
//! The letters, their words and the rule of what makes a member unusable are those of `proxy_wstat_tbl` (`mod_proxy.c`)
//! and `PROXY_WORKER_NOT_USABLE_BITMAP` (`mod_proxy.h`); reading them is `set_worker_param` in `mod_proxy.c`.

use std::fmt;

/// One letter of a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `I`: errors of this member never put it into [`Flag::Error`].
    IgnoreErrors,
    /// `N`: only requests of sessions that are this member's already.
    Drain,
    /// `U`: removed, and kept only until its last request is done.
    Shutdown,
    /// `D`: gets nothing, also not its own sessions.
    Disabled,
    /// `S`: as [`Flag::Disabled`], and neither retried nor checked.
    Stopped,
    /// `E`: failed; tried again after its `retry`.
    Error,
    /// `H`: used only when nothing else in its set is usable.
    HotStandby,
    /// `R`: takes the place of an unusable member of its set.
    HotSpare,
    /// `C`: failed its health checks; only they bring it back.
    HealthFailed,
}

impl Flag {
    /// All flags, in the order in which Apache prints them.
    pub const ALL: [Flag; 9] = [
        Flag::IgnoreErrors,
        Flag::Drain,
        Flag::Shutdown,
        Flag::Disabled,
        Flag::Stopped,
        Flag::Error,
        Flag::HotStandby,
        Flag::HotSpare,
        Flag::HealthFailed,
    ];

    /// The letter of the configuration.
    pub fn letter(self) -> char {
        match self {
            Flag::IgnoreErrors => 'I',
            Flag::Drain => 'N',
            Flag::Shutdown => 'U',
            Flag::Disabled => 'D',
            Flag::Stopped => 'S',
            Flag::Error => 'E',
            Flag::HotStandby => 'H',
            Flag::HotSpare => 'R',
            Flag::HealthFailed => 'C',
        }
    }

    /// The word of Apache's balancer-manager.
    pub fn word(self) -> &'static str {
        match self {
            Flag::IgnoreErrors => "Ign",
            Flag::Drain => "Drn",
            Flag::Shutdown => "Shut",
            Flag::Disabled => "Dis",
            Flag::Stopped => "Stop",
            Flag::Error => "Err",
            Flag::HotStandby => "Stby",
            Flag::HotSpare => "Spar",
            Flag::HealthFailed => "HcFl",
        }
    }

    fn of_letter(letter: char) -> Option<Flag> {
        Flag::ALL
            .into_iter()
            .find(|flag| flag.letter() == letter.to_ascii_uppercase())
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The flags of a member. Without any it is an ordinary, usable member.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Status(u16);

/// A status that is not made of known letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status letter; known are D, S, I, R, H, E, N and C, each after an optional + or -")]
pub struct UnknownStatus(pub char);

impl Status {
    /// No flag: ordinary and usable.
    pub const OK: Status = Status(0);

    const NOT_USABLE: u16 = Flag::Shutdown.bit()
        | Flag::Disabled.bit()
        | Flag::Stopped.bit()
        | Flag::Error.bit()
        | Flag::HealthFailed.bit();

    /// Reads letters as Apache does: a sign holds for all letters after it, so `-DE` clears both and `S-E` sets one and
    /// clears the other. `O` (initialised) is accepted and means nothing here.
    pub fn parse(letters: &str) -> Result<Status, UnknownStatus> {
        let mut status = Status::OK;
        status.apply(letters)?;
        Ok(status)
    }

    /// Sets and clears flags by letters, as [`Status::parse`] reads them.
    pub fn apply(&mut self, letters: &str) -> Result<(), UnknownStatus> {
        let mut set = true;
        for letter in letters.chars() {
            match (letter, Flag::of_letter(letter)) {
                ('+', _) => set = true,
                ('-', _) => set = false,
                (_, Some(flag)) => self.set(flag, set),
                ('O' | 'o', None) => {}
                (_, None) => return Err(UnknownStatus(letter)),
            }
        }
        Ok(())
    }

    /// Whether the flag is set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Sets or clears a flag.
    pub fn set(&mut self, flag: Flag, on: bool) {
        match on {
            true => self.0 |= flag.bit(),
            false => self.0 &= !flag.bit(),
        }
    }

    /// This status with one flag more.
    pub fn with(mut self, flag: Flag) -> Status {
        self.set(flag, true);
        self
    }

    /// Whether a member of this status gets requests at all: `PROXY_WORKER_IS_USABLE`. A draining one does.
    pub fn is_usable(self) -> bool {
        self.0 & Status::NOT_USABLE == 0
    }

    /// The letters that are set, in [`Flag::ALL`]'s order; empty for an ordinary member.
    pub fn letters(self) -> String {
        self.flags().map(Flag::letter).collect()
    }

    /// The flags that are set.
    pub fn flags(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |&flag| self.has(flag))
    }
}

/// As Apache's balancer-manager: `Init Ok`, `Init Drn Ok`, `Init Err`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Init")?;
        for flag in self.flags() {
            write!(f, " {}", flag.word())?;
        }
        if self.is_usable() {
            f.write_str(" Ok")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({})", self.letters())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_apache_reads_them() {
        for (letters, expected) in [
            ("", ""),
            ("D", "D"),
            ("+D", "D"),
            ("d", "D"),
            ("HE", "EH"),
            ("S-E", "S"),
            ("DE-DE", ""),
            ("DEH-DE+S", "SH"),
            ("ORN", "NR"),
        ] {
            assert_eq!(Status::parse(letters).unwrap().letters(), expected, "{letters}");
        }
        assert_eq!(Status::parse("D?"), Err(UnknownStatus('?')));
    }

    #[test]
    fn usable_and_printed_as_in_the_balancer_manager() {
        for (letters, usable, printed) in [
            ("", true, "Init Ok"),
            ("I", true, "Init Ign Ok"),
            ("N", true, "Init Drn Ok"),
            ("H", true, "Init Stby Ok"),
            ("R", true, "Init Spar Ok"),
            ("D", false, "Init Dis"),
            ("S", false, "Init Stop"),
            ("E", false, "Init Err"),
            ("C", false, "Init HcFl"),
            ("U", false, "Init Shut"),
            ("NE", false, "Init Drn Err"),
        ] {
            let status = Status::parse(letters).unwrap();
            assert_eq!(
                (status.is_usable(), status.to_string().as_str()),
                (usable, printed),
                "{letters}"
            );
        }
    }
}
