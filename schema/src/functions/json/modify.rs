//! Changing jsonb: members and elements set, inserted and removed, values put together, NULLs stripped.

use proto::{SqlError, SqlResult, SqlState};
use serde_json::{Map, Value};
use sharddb_proto as proto;

use super::{invalid, parse, show};
use crate::{
    ArrayValue, Datum, Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{Json, JsonText, Jsonb, four, one, three, two},
    },
};

const B: Oid = Oid::JSONB;
const TEXTS: Oid = Oid(1009);

fn concatenate(a: JsonText<'_>, b: JsonText<'_>) -> SqlResult<Jsonb> {
    let list = |value: Value| match value {
        Value::Array(elements) => elements,
        other => vec![other],
    };
    show(&match (parse(a.0)?, parse(b.0)?) {
        (Value::Object(mut a), Value::Object(b)) => {
            a.extend(b);
            Value::Object(a)
        }
        (a, b) => Value::Array([list(a), list(b)].concat()),
    })
}

fn from_scalar() -> SqlError {
    invalid("cannot delete from scalar")
}

/// Removes keys of an object or strings of an array.
fn remove_keys(json: JsonText<'_>, unwanted: impl Fn(&str) -> bool) -> SqlResult<Jsonb> {
    show(&match parse(json.0)? {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(key, _)| !unwanted(key)).collect::<Map<_, _>>())
        }
        Value::Array(mut elements) => {
            elements.retain(|element| !element.as_str().is_some_and(&unwanted));
            Value::Array(elements)
        }
        _ => return Err(from_scalar()),
    })
}

fn remove_element(json: JsonText<'_>, at: i32) -> SqlResult<Jsonb> {
    let mut value = parse(json.0)?;
    match &mut value {
        Value::Array(elements) => {
            if let Some(at) = place(elements.len(), at) {
                elements.remove(at);
            }
        }
        Value::Object(_) => return Err(invalid("cannot delete from object using integer index")),
        _ => return Err(from_scalar()),
    }
    show(&value)
}

/// The place of an existing element; negative places count from the end.
fn place(length: usize, at: i32) -> Option<usize> {
    let at = if at < 0 { length.checked_sub(at.unsigned_abs() as usize)? } else { at as usize };
    (at < length).then_some(at)
}

/// The steps of a path; NULL among them is 22004.
fn steps<'a>(path: &'a ArrayValue) -> SqlResult<Vec<&'a str>> {
    if path.dims.len() > 1 {
        return Err(SqlError::new(SqlState::ArraySubscriptError, "wrong number of array subscripts"));
    }
    let step = |(at, step): (usize, &'a Datum)| match step {
        Datum::Text(step) => Ok(&**step),
        _ => {
            let message = format!("path element at position {} is null", at + 1);
            Err(SqlError::new(SqlState::NullValueNotAllowed, message))
        }
    };
    path.values.iter().enumerate().map(step).collect()
}

fn index(step: &str, at: usize) -> SqlResult<i32> {
    step.trim().parse().map_err(|_| {
        let message = format!("path element at position {} is not an integer: \"{step}\"", at + 1);
        SqlError::new(SqlState::InvalidTextRepresentation, message)
    })
}

/// What is done at the end of a path.
#[derive(Clone, Copy)]
enum Change<'v> {
    /// jsonb_set: replaces, and creates what is missing if told so.
    Set { value: &'v Value, create: bool },
    /// jsonb_insert: before or after an element, or as a new member.
    Insert { value: &'v Value, after: bool },
    /// `#-`
    Remove,
}

fn change(target: &mut Value, path: &[&str], at: usize, change_: Change<'_>) -> SqlResult<()> {
    let Some(step) = path.get(at) else { return Ok(()) };
    let last = at + 1 == path.len();
    match target {
        Value::Object(members) if last => change_member(members, step, change_),
        Value::Object(members) => match members.get_mut(*step) {
            Some(member) => change(member, path, at + 1, change_),
            None => Ok(()),
        },
        Value::Array(elements) => {
            let number = index(step, at)?;
            if last {
                change_element(elements, number, change_);
                return Ok(());
            }
            match place(elements.len(), number) {
                Some(place) => change(&mut elements[place], path, at + 1, change_),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn change_member(members: &mut Map<String, Value>, key: &str, change: Change<'_>) -> SqlResult<()> {
    let present = members.contains_key(key);
    match change {
        Change::Set { value, create } => {
            if present || create {
                members.insert(key.to_owned(), value.clone());
            }
        }
        Change::Insert { .. } if present => {
            return Err(invalid("cannot replace existing key")
                .with_hint("Try using the function jsonb_set to replace key value."));
        }
        Change::Insert { value, .. } => {
            members.insert(key.to_owned(), value.clone());
        }
        Change::Remove => {
            members.shift_remove(key);
        }
    }
    Ok(())
}

fn change_element(elements: &mut Vec<Value>, number: i32, change: Change<'_>) {
    let found = place(elements.len(), number);
    let end = if number < 0 { 0 } else { elements.len() };
    match (change, found) {
        (Change::Set { value, .. }, Some(at)) => elements[at] = value.clone(),
        (Change::Set { value, create: true }, None) => elements.insert(end, value.clone()),
        (Change::Set { .. } | Change::Remove, None) => {}
        (Change::Insert { value, after }, Some(at)) => elements.insert(at + usize::from(after), value.clone()),
        (Change::Insert { value, .. }, None) => elements.insert(end, value.clone()),
        (Change::Remove, Some(at)) => {
            elements.remove(at);
        }
    }
}

fn change_text(json: JsonText<'_>, path: &ArrayValue, what: Change<'_>) -> SqlResult<Jsonb> {
    let mut target = parse(json.0)?;
    if !target.is_object() && !target.is_array() {
        return Err(match what {
            Change::Remove => invalid("cannot delete path in scalar"),
            _ => invalid("cannot set path in scalar"),
        });
    }
    let path = steps(path)?;
    change(&mut target, &path, 0, what)?;
    show(&target)
}

fn set(json: JsonText<'_>, path: &ArrayValue, value: JsonText<'_>, create: bool) -> SqlResult<Jsonb> {
    change_text(json, path, Change::Set { value: &parse(value.0)?, create })
}

fn insert(json: JsonText<'_>, path: &ArrayValue, value: JsonText<'_>, after: bool) -> SqlResult<Jsonb> {
    change_text(json, path, Change::Insert { value: &parse(value.0)?, after })
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// One level of indentation.
const INDENT: usize = 4;

fn pretty(value: &Value, depth: usize, out: &mut String) -> SqlResult<()> {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&" ".repeat(depth * INDENT));
    };
    match value {
        Value::Object(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                super::write_string(key, out);
                out.push_str(": ");
                pretty(member, depth + 1, out)?;
            }
            line(out, depth);
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                pretty(element, depth + 1, out)?;
            }
            line(out, depth);
            out.push(']');
        }
        scalar => crate::text::write_jsonb(scalar, out)?,
    }
    Ok(())
}

/// Functions that change jsonb.
pub(in crate::functions) static MODIFY: &[Function] = &[
    operator("jsonb_concat", "||", &[B, B], B, |_, args| two(args, concatenate)),
    operator("jsonb_delete", "-", &[B, Oid::TEXT], B, |_, args| {
        two(args, |json: JsonText<'_>, key: &str| remove_keys(json, |found| found == key))
    }),
    operator("jsonb_delete", "-", &[B, TEXTS], B, |_, args| {
        two(args, |json: JsonText<'_>, keys: &ArrayValue| {
            remove_keys(json, |found| keys.values.iter().any(|key| matches!(key, Datum::Text(key) if **key == *found)))
        })
    }),
    operator("jsonb_delete", "-", &[B, Oid::INT4], B, |_, args| two(args, remove_element)),
    operator("jsonb_delete_path", "#-", &[B, TEXTS], B, |_, args| {
        two(args, |json: JsonText<'_>, path: &ArrayValue| change_text(json, path, Change::Remove))
    }),
    function("jsonb_set", &[B, TEXTS, B], B, |_, args| {
        three(args, |json: JsonText<'_>, path: &ArrayValue, value: JsonText<'_>| set(json, path, value, true))
    }),
    function("jsonb_set", &[B, TEXTS, B, Oid::BOOL], B, |_, args| four(args, set)),
    function("jsonb_insert", &[B, TEXTS, B], B, |_, args| {
        three(args, |json: JsonText<'_>, path: &ArrayValue, value: JsonText<'_>| insert(json, path, value, false))
    }),
    function("jsonb_insert", &[B, TEXTS, B, Oid::BOOL], B, |_, args| four(args, insert)),
    function("jsonb_pretty", &[B], Oid::TEXT, |_, args| {
        one(args, |json: JsonText<'_>| {
            let mut out = String::new();
            pretty(&parse(json.0)?, 0, &mut out).map(|()| out)
        })
    }),
];

/// json_strip_nulls and jsonb_strip_nulls.
pub(in crate::functions) static STRIP: &[Function] = &[
    function("jsonb_strip_nulls", &[B], B, |_, args| {
        one(args, |json: JsonText<'_>| {
            let mut value = parse(json.0)?;
            strip_nulls(&mut value);
            show(&value)
        })
    }),
    function("json_strip_nulls", &[Oid::JSON], Oid::JSON, |_, args| {
        one(args, |json: JsonText<'_>| {
            let mut value = parse(json.0)?;
            strip_nulls(&mut value);
            Ok(Json(value.to_string()))
        })
    }),
];
