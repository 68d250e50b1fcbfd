//! json_agg, jsonb_agg, json_object_agg and jsonb_object_agg.

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::aggregate;
use crate::{
    Datum, FormatSettings, Oid,
    functions::{
        Accumulator, Aggregate, EvalContext,
        json::{write_json, write_key},
        value::mismatch,
    },
    text::normalize_jsonb,
};

/// Elements or members as json text, without the brackets.
#[derive(Debug)]
struct Pieces {
    text: Option<String>,
    object: bool,
    binary: bool,
    /// Values are rows as json objects.
    rows: bool,
    /// How values become text. Values arrive in UTC: aggregates run where there is no session.
    env: EvalContext,
}

/// A context of no session.
fn plain_context() -> EvalContext {
    let format = FormatSettings::default();
    EvalContext {
        transaction_time: 0,
        statement_time: 0,
        time_zone: format.time_zone.clone(),
        format,
        user: "".into(),
        session_user: "".into(),
        database: "".into(),
        search_path: [].into(),
        backend_pid: 0,
        host: None,
    }
}

impl Pieces {
    fn boxed(object: bool, binary: bool) -> Box<dyn Accumulator> {
        Box::new(Self { text: None, object, binary, rows: false, env: plain_context() })
    }

    fn of_rows() -> Box<dyn Accumulator> {
        Box::new(Self { text: None, object: false, binary: false, rows: true, env: plain_context() })
    }

    fn push_piece(&mut self, piece: &str) {
        match &mut self.text {
            None => self.text = Some(piece.to_owned()),
            Some(text) => {
                text.push_str(", ");
                text.push_str(piece);
            }
        }
    }
}

impl Accumulator for Pieces {
    fn update(&mut self, args: &[Datum]) -> SqlResult<()> {
        let mut piece = String::new();
        let value = match args {
            [value] if !self.object => value,
            [Datum::Null, _] if self.object => {
                return Err(SqlError::new(SqlState::InvalidParameterValue, "field name must not be null"));
            }
            [key, value] if self.object => {
                write_key(&self.env, key, &mut piece)?;
                piece.push_str(" : ");
                value
            }
            _ => return Err(mismatch(args)),
        };
        // PostgreSQL puts arrays and rows in json_agg on lines of their own, the first one apart.
        let structured = matches!(value, Datum::Array(_) | Datum::Record(_)) || (self.rows && !value.is_null());
        if structured && !self.object {
            piece.push_str(LINE);
        }
        write_json(&self.env, value, &mut piece);
        self.push_piece(&piece);
        Ok(())
    }

    fn state(&self) -> SqlResult<Vec<Datum>> {
        Ok(vec![self.text.as_ref().map_or(Datum::Null, |text| Datum::text(text.as_str()))])
    }

    fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        match state {
            [Datum::Null] => Ok(()),
            [Datum::Text(other)] => {
                self.push_piece(other);
                Ok(())
            }
            _ => Err(mismatch(state)),
        }
    }

    fn finish(&self) -> SqlResult<Datum> {
        let Some(text) = &self.text else { return Ok(Datum::Null) };
        let text = text.strip_prefix(LINE).unwrap_or(text);
        let whole = if self.object { format!("{{ {text} }}") } else { format!("[{text}]") };
        if self.binary {
            return normalize_jsonb(&whole).map(|text| Datum::Jsonb(text.into()));
        }
        Ok(Datum::Json(whole.into()))
    }
}

/// json_agg of rows that the binder has made json objects of: they know their columns' names.
pub const ROWS_JSON_AGG: &str = "rows json_agg";

/// What stands before a row or array in a list.
const LINE: &str = "\n ";

/// Aggregates that make json and jsonb.
pub(in crate::functions) static JSON: &[Aggregate] = &[
    aggregate("json_agg", &[Oid::ANYELEMENT], Oid::JSON, &[Oid::TEXT], |_| Pieces::boxed(false, false)).lenient(),
    aggregate(ROWS_JSON_AGG, &[Oid::JSON], Oid::JSON, &[Oid::TEXT], |_| Pieces::of_rows()).lenient(),
    aggregate("jsonb_agg", &[Oid::ANYELEMENT], Oid::JSONB, &[Oid::TEXT], |_| Pieces::boxed(false, true)).lenient(),
    aggregate("json_object_agg", &[Oid::ANY, Oid::ANY], Oid::JSON, &[Oid::TEXT], |_| Pieces::boxed(true, false))
        .lenient(),
    aggregate("jsonb_object_agg", &[Oid::ANY, Oid::ANY], Oid::JSONB, &[Oid::TEXT], |_| Pieces::boxed(true, true))
        .lenient(),
];
