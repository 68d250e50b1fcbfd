//! A session's parameter values, with PostgreSQL's transaction semantics.
//!
//! # Invariants
//! * SET lasts beyond the transaction if that commits, SET LOCAL until its end; a rollback restores both, as a rollback
//!   to a savepoint does for what was set since.
//! * `undo` holds what each slot was before every change of the open transaction, oldest first.
//! * `effective` is derived from the present values.

use std::collections::BTreeMap;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::{Context, Effective, Parameter, parameters, registry, text, time_zone, value};

/// A parameter with its values in a session.
#[derive(Debug)]
pub(crate) struct ParameterRow {
    pub(crate) parameter: &'static Parameter,
    /// The present value, without its unit.
    pub(crate) value: String,
    /// What RESET goes back to.
    pub(crate) reset: String,
}

/// A place in the undo list, to roll back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(usize);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    session: String,
    local: Option<String>,
}

impl Slot {
    fn current(&self) -> &str {
        self.local.as_deref().unwrap_or(&self.session)
    }
}

#[derive(Debug)]
enum Undo {
    Known(usize, Slot),
    Custom(String, Option<Slot>),
}

/// The values of one session.
#[derive(Debug)]
pub(crate) struct Settings {
    slots: Vec<Slot>,
    /// What RESET goes back to: defaults and the startup message.
    reset: Vec<String>,
    custom: BTreeMap<String, Slot>,
    undo: Vec<Undo>,
    /// Reported parameters changed since the client was told.
    changed: Vec<usize>,
    effective: Effective,
    /// Grows with each change of what is derived.
    generation: u64,
}

impl Settings {
    /// Every parameter at its default.
    pub(crate) fn new() -> Self {
        let reset: Vec<String> = parameters().iter().map(|parameter| parameter.default.to_owned()).collect();
        let slots: Vec<Slot> = reset.iter().map(|value| Slot { session: value.clone(), local: None }).collect();
        let effective = derive(&slots);
        Self { slots, reset, custom: BTreeMap::new(), undo: Vec::new(), changed: Vec::new(), effective, generation: 0 }
    }

    /// The typed forms.
    pub(crate) fn effective(&self) -> &Effective {
        &self.effective
    }

    /// Another number whenever typed forms may have changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets a parameter from the startup message: RESET goes back to this value.
    pub(crate) fn start_with(&mut self, name: &str, text: &str) -> SqlResult<()> {
        self.set(name, Some(text), false)?;
        if let Some(i) = registry::position(name) {
            self.reset[i] = self.slots[i].session.clone();
        }
        self.undo.clear();
        Ok(())
    }

    /// Overwrites a parameter that clients cannot set (session_authorization, is_superuser).
    pub(crate) fn force(&mut self, name: &str, stored: &str) {
        if let Some(i) = registry::position(name) {
            self.slots[i] = Slot { session: stored.to_owned(), local: None };
            self.reset[i] = stored.to_owned();
            self.after_change(i);
        }
    }

    /// SET, or RESET with `None`.
    pub(crate) fn set(&mut self, name: &str, text: Option<&str>, local: bool) -> SqlResult<()> {
        let Some(i) = registry::position(name) else { return self.set_custom(name, text, local) };
        let parameter = &parameters()[i];
        check_context(parameter)?;
        let stored = match text {
            Some(text) => check(parameter, text, self.slots[i].current())?,
            None => self.reset[i].clone(),
        };
        let before = self.slots[i].clone();
        let slot = &mut self.slots[i];
        if local {
            slot.local = Some(stored);
        } else {
            *slot = Slot { session: stored, local: None };
        }
        self.undo.push(Undo::Known(i, before));
        self.after_change(i);
        Ok(())
    }

    /// RESET ALL.
    pub(crate) fn reset_all(&mut self) {
        for (i, parameter) in parameters().iter().enumerate() {
            let settable = matches!(parameter.context, Context::User | Context::Superuser);
            if settable && !parameter.hidden && self.slots[i].current() != self.reset[i] {
                let fresh = Slot { session: self.reset[i].clone(), local: None };
                self.undo.push(Undo::Known(i, std::mem::replace(&mut self.slots[i], fresh)));
                self.after_change(i);
            }
        }
        for (name, slot) in &mut self.custom {
            let fresh = Slot { session: String::new(), local: None };
            self.undo.push(Undo::Custom(name.clone(), Some(std::mem::replace(slot, fresh))));
        }
    }

    /// SHOW: the printed value, under the parameter's own spelling.
    pub(crate) fn show(&self, name: &str) -> SqlResult<(String, String)> {
        if let Some(i) = registry::position(name) {
            let parameter = &parameters()[i];
            return Ok((parameter.name.to_owned(), value::show(parameter, self.slots[i].current())));
        }
        match self.custom.get(&name.to_lowercase()) {
            Some(slot) => Ok((name.to_owned(), slot.current().to_owned())),
            None => Err(unrecognized(name)),
        }
    }

    /// The stored value by position in `parameters()`, without units.
    pub(crate) fn stored(&self, position: usize) -> (&str, &str) {
        (self.slots[position].current(), &self.reset[position])
    }

    /// The printed value of a parameter that exists.
    pub(crate) fn shown(&self, position: usize) -> String {
        value::show(&parameters()[position], self.slots[position].current())
    }

    /// Changed parameters that clients are told of, with their printed values.
    pub(crate) fn take_changed(&mut self) -> Vec<(String, String)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().map(|i| (parameters()[i].name.to_owned(), self.shown(i))).collect()
    }

    /// Every parameter, for `pg_settings`.
    pub(crate) fn describe(&self) -> Vec<ParameterRow> {
        let visible = parameters().iter().enumerate().filter(|(_, parameter)| !parameter.hidden);
        visible
            .map(|(at, parameter)| {
                let (value, reset) = self.stored(at);
                ParameterRow { parameter, value: value.to_owned(), reset: reset.to_owned() }
            })
            .collect()
    }

    /// A place to roll back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Undoes what was set since the mark.
    pub(crate) fn rollback_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            match self.undo.pop() {
                Some(Undo::Known(i, slot)) => {
                    self.slots[i] = slot;
                    self.after_change(i);
                }
                Some(Undo::Custom(name, Some(slot))) => {
                    self.custom.insert(name, slot);
                }
                Some(Undo::Custom(name, None)) => {
                    self.custom.remove(&name);
                }
                None => break,
            }
        }
    }

    /// The transaction committed: local values end.
    pub(crate) fn commit(&mut self) {
        for undo in std::mem::take(&mut self.undo) {
            match undo {
                Undo::Known(i, _) if self.slots[i].local.take().is_some() => self.after_change(i),
                Undo::Known(..) => {}
                Undo::Custom(name, before) => self.end_custom(&name, before),
            }
        }
    }

    /// The transaction rolled back.
    pub(crate) fn rollback(&mut self) {
        self.rollback_to(Mark(0));
    }

    fn end_custom(&mut self, name: &str, before: Option<Slot>) {
        let Some(slot) = self.custom.get_mut(name) else { return };
        slot.local = None;
        // PostgreSQL keeps a placeholder that was only set locally, with an empty value.
        let _ = before;
    }

    fn set_custom(&mut self, name: &str, text: Option<&str>, local: bool) -> SqlResult<()> {
        if !name.contains('.') {
            return Err(unrecognized(name));
        }
        if !name.split('.').all(is_simple_identifier) {
            let message = format!("invalid configuration parameter name \"{name}\"");
            return Err(SqlError::new(SqlState::InvalidName, message)
                .with_detail("Custom parameter names must be two or more simple identifiers separated by dots."));
        }
        let key = name.to_lowercase();
        let before = self.custom.get(&key).cloned();
        let slot = self.custom.entry(key.clone()).or_insert(Slot { session: String::new(), local: None });
        let stored = text.unwrap_or_default().to_owned();
        if local {
            slot.local = Some(stored);
        } else {
            *slot = Slot { session: stored, local: None };
        }
        self.undo.push(Undo::Custom(key, before));
        Ok(())
    }

    fn after_change(&mut self, position: usize) {
        if parameters()[position].reported() {
            self.changed.push(position);
        }
        self.effective = derive(&self.slots);
        self.generation += 1;
    }
}

fn derive(slots: &[Slot]) -> Effective {
    Effective::derive(|name| registry::position(name).map_or("", |i| slots[i].current()))
}

fn check_context(parameter: &Parameter) -> SqlResult<()> {
    let name = parameter.name;
    let message = match parameter.context {
        Context::User | Context::Superuser => return Ok(()),
        Context::Internal => format!("parameter \"{name}\" cannot be changed"),
        Context::Postmaster => format!("parameter \"{name}\" cannot be changed without restarting the server"),
        Context::Sighup => format!("parameter \"{name}\" cannot be changed now"),
        Context::Backend => format!("parameter \"{name}\" cannot be set after connection start"),
    };
    Err(SqlError::new(SqlState::CantChangeRuntimeParam, message))
}

/// Checks a value and answers its stored form.
fn check(parameter: &Parameter, text: &str, present: &str) -> SqlResult<String> {
    let stored = value::normalize(parameter, text)?;
    if parameter.fixed && stored != parameter.default {
        return Err(SqlError::unsupported(format!("setting parameter \"{}\" to \"{text}\"", parameter.name)));
    }
    match parameter.name {
        "DateStyle" => {
            let defaults = sharddb_schema::FormatSettings::default();
            let present = text::date_style(present, (defaults.date_style, defaults.date_order))?;
            Ok(text::show_date_style(text::date_style(text, present)?))
        }
        "TimeZone" => {
            let parsed = time_zone::parse(text).ok_or_else(|| value::invalid_value("TimeZone", text))?;
            Ok(parsed.1)
        }
        "client_encoding" => Ok(text::client_encoding(text)?.to_owned()),
        "search_path" => text::identifier_list("search_path", text).map(|_| stored),
        "application_name" | "cluster_name" => {
            Ok(stored.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect())
        }
        _ => Ok(stored),
    }
}

fn is_simple_identifier(text: &str) -> bool {
    let first = |c: char| c.is_alphabetic() || c == '_';
    text.chars().next().is_some_and(first) && text.chars().all(|c| first(c) || c.is_ascii_digit() || c == '$')
}

/// 42704 for a name that is no parameter's.
pub(crate) fn unrecognized(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &Settings, name: &str) -> String {
        settings.show(name).expect("a known parameter").1
    }

    #[test]
    fn local_values_end_with_the_transaction() {
        let mut settings = Settings::new();
        settings.set("work_mem", Some("3MB"), false).expect("valid");
        settings.set("work_mem", Some("5MB"), true).expect("valid");
        assert_eq!(shown(&settings, "work_mem"), "5MB");
        settings.commit();
        assert_eq!(shown(&settings, "work_mem"), "3MB");
        settings.set("work_mem", Some("1MB"), true).expect("valid");
        settings.set("work_mem", Some("2MB"), false).expect("valid");
        settings.commit();
        assert_eq!(shown(&settings, "work_mem"), "2MB");
    }

    #[test]
    fn rollback_restores_values_and_what_is_derived() {
        let mut settings = Settings::new();
        settings.set("statement_timeout", Some("1s"), false).expect("valid");
        let mark = settings.mark();
        settings.set("statement_timeout", Some("2s"), false).expect("valid");
        settings.set("my.own", Some("x"), false).expect("valid");
        settings.rollback_to(mark);
        assert_eq!(shown(&settings, "statement_timeout"), "1s");
        assert!(settings.show("my.own").is_err());
        settings.rollback();
        assert_eq!(settings.effective().statement_timeout, None);
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        let mut settings = Settings::new();
        let state = |error: SqlError| error.state().code();
        assert_eq!(state(settings.set("server_version", Some("1"), false).unwrap_err()), "55P02");
        assert_eq!(state(settings.set("foo", Some("1"), false).unwrap_err()), "42704");
        assert_eq!(state(settings.set("array_nulls", Some("off"), false).unwrap_err()), "0A000");
        settings.set("array_nulls", Some("on"), false).expect("the default is taken");
    }
}
