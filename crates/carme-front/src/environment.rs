//! The environment variables of one request, as Apache has them: what the server knows of a request under a name, for log
//! formats, header rules and conditions. They are no process's environment.

use std::sync::Arc;

use bytes::Bytes;

/// Variables by name, in any case of letters. While none is set, nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<(Name, Bytes)>);

/// A variable's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// One of Carme's own, `BALANCER_NAME`.
    Known(&'static str),
    /// One of the configuration.
    Configured(Arc<str>),
}

impl Name {
    fn is(&self, other: &str) -> bool {
        self.as_str().eq_ignore_ascii_case(other)
    }

    fn as_str(&self) -> &str {
        match self {
            Name::Known(name) => name,
            Name::Configured(name) => name,
        }
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Name::Known(name)
    }
}

impl From<&Arc<str>> for Name {
    fn from(name: &Arc<str>) -> Self {
        Name::Configured(Arc::clone(name))
    }
}

impl Environment {
    /// Gives the variable this value, whatever it had. An empty value is one: the variable is set then.
    pub(crate) fn set(&mut self, name: impl Into<Name>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        let is_same = |(other, _): &&mut (Name, Bytes)| other.is(name.as_str());
        match self.0.iter_mut().find(is_same) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// The variable is not set from now on.
    pub(crate) fn unset(&mut self, name: &str) {
        self.0.retain(|(other, _)| !other.is(name));
    }

    /// Those that the configuration has given, under their names, with any bytes as values.
    pub(crate) fn configured(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(name, value)| match name {
            Name::Configured(name) => Some((&**name, &value[..])),
            Name::Known(_) => None,
        })
    }

    /// Its value, any bytes; `None` if it is not set.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(other, _)| other.is(name))?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_an_empty_one_is_set() {
        let mut environment = Environment::default();
        assert_eq!(environment.get("A"), None);
        environment.unset("A");
        let configured: Arc<str> = Arc::from("A");
        environment.set(&configured, "1");
        environment.set("B", String::new());
        environment.set("A", vec![0xff, b'\n']);
        assert_eq!(environment.get("A"), Some(&b"\xff\n"[..]));
        assert_eq!(environment.get("B"), Some(&b""[..]));
        assert_eq!(environment.get("b"), Some(&b""[..]));
        assert_eq!(environment.get("C"), None);
        environment.unset("A");
        assert_eq!(
            (environment.get("A"), environment.get("B")),
            (None, Some(&b""[..]))
        );
    }
}
