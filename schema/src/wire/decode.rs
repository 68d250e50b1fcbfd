//! Reading PostgreSQL's binary format.

use std::sync::Arc;

use proto::{SqlError, SqlResult, SqlState};
use sharddb_proto as proto;

use super::decode_utf8;
use crate::{
    ArrayValue, Datum, Interval, Numeric, Oid, SqlType, cast,
    datetime::{
        DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, EPOCH_2000_DAYS, EPOCH_2000_MICROS, TIMESTAMP_INFINITY,
        TIMESTAMP_NEG_INFINITY,
    },
    functions::CastContext,
    text::{check_json, normalize_jsonb},
};

/// PostgreSQL's MAXDIM.
const DIMENSIONS_MAX: i32 = 6;
/// Arrays and records inside each other; deeper input would exhaust the stack.
const DEPTH_MAX: usize = 32;
/// PostgreSQL's limit of array elements (MaxArraySize for the smallest elements).
const ELEMENTS_MAX: usize = 134_217_727;
/// PostgreSQL's TZDISP_LIMIT: zones are less than 16 hours away.
const ZONE_SECONDS_MAX: i32 = 16 * 3600;
/// First microsecond of 4713-11-24 BC, below which there is no timestamp.
const TIMESTAMP_MIN: i64 = -210_866_803_200_000_000;

/// Reads a value sent in binary. Too few bytes are 08P01, bytes that are left over 22P03, as in PostgreSQL.
pub fn decode_binary(bytes: &[u8], sql_type: SqlType) -> SqlResult<Datum> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(sql_type, 0)?;
    reader.end()?;
    cast::fit(value, sql_type, CastContext::Assignment)
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidBinaryRepresentation, message)
}

fn out_of_range(what: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range"))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> SqlResult<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(SqlError::new(SqlState::ProtocolViolation, "insufficient data left in message"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn int2(&mut self) -> SqlResult<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn int4(&mut self) -> SqlResult<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn int8(&mut self) -> SqlResult<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn text(&mut self) -> SqlResult<&'a str> {
        decode_utf8(self.all())
    }

    fn end(&self) -> SqlResult<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(invalid("incorrect binary data format")) }
    }

    fn value(&mut self, sql_type: SqlType, depth: usize) -> SqlResult<Datum> {
        if let Some(element) = sql_type.oid.element_type() {
            return self.array_value(element, depth);
        }
        Ok(match sql_type.oid {
            Oid::BOOL => Datum::Bool(self.array::<1>()? != [0]),
            Oid::CHAR => Datum::Char(self.array::<1>()?[0]),
            Oid::INT2 => Datum::Int2(self.int2()?),
            Oid::INT4 => Datum::Int4(self.int4()?),
            Oid::INT8 => Datum::Int8(self.int8()?),
            Oid::FLOAT4 => Datum::Float4(self.array().map(f32::from_be_bytes)?),
            Oid::FLOAT8 => Datum::Float8(self.array().map(f64::from_be_bytes)?),
            Oid::NUMERIC => Datum::Numeric(Numeric::read_binary(self.all())?),
            Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::UNKNOWN => Datum::text(self.text()?),
            Oid::NAME => Datum::text(self.name()?),
            Oid::BYTEA => Datum::Bytes(self.all().into()),
            Oid::UUID => Datum::Uuid(self.array()?),
            Oid::JSON => {
                let text = self.text()?;
                check_json(text, "json")?;
                Datum::Json(text.into())
            }
            Oid::JSONB => self.jsonb()?,
            oid if oid.is_unsigned() => Datum::Oid(self.int4()? as u32),
            Oid::DATE => Datum::Date(self.date()?),
            Oid::TIME => Datum::Time(self.time()?),
            Oid::TIMETZ => self.timetz()?,
            Oid::TIMESTAMP => Datum::Timestamp(self.timestamp()?),
            Oid::TIMESTAMPTZ => Datum::TimestampTz(self.timestamp()?),
            Oid::INTERVAL => self.interval()?,
            Oid::RECORD => self.record(depth)?,
            Oid::INT2VECTOR => self.array_value(Oid::INT2, depth)?,
            Oid::OIDVECTOR => self.array_value(Oid::OID, depth)?,
            Oid::VOID => Datum::text(""),
            other => return Err(SqlError::unsupported(format!("binary input of type {other}"))),
        })
    }

    /// A name longer than 63 bytes is refused, as PostgreSQL does for names in binary.
    fn name(&mut self) -> SqlResult<&'a str> {
        let text = self.text()?;
        if text.len() > 63 {
            return Err(SqlError::new(SqlState::NameTooLong, "identifier too long")
                .with_detail("Identifier must be less than 64 characters."));
        }
        Ok(text)
    }

    fn jsonb(&mut self) -> SqlResult<Datum> {
        let [version] = self.array()?;
        if version != 1 {
            return Err(SqlError::internal(format!("unsupported jsonb version number {version}")));
        }
        Ok(Datum::Jsonb(normalize_jsonb(self.text()?)?.into()))
    }

    fn date(&mut self) -> SqlResult<i32> {
        match self.int4()? {
            i32::MAX => Ok(DATE_INFINITY),
            i32::MIN => Ok(DATE_NEG_INFINITY),
            days => {
                let days = days.checked_add(EPOCH_2000_DAYS).ok_or_else(|| out_of_range("date"))?;
                let valid = (-2_440_588..=2_145_042_905).contains(&days);
                if valid { Ok(days) } else { Err(out_of_range("date")) }
            }
        }
    }

    fn time(&mut self) -> SqlResult<i64> {
        let micros = self.int8()?;
        if (0..=DAY_MICROS).contains(&micros) { Ok(micros) } else { Err(out_of_range("time")) }
    }

    fn timetz(&mut self) -> SqlResult<Datum> {
        let (micros, west) = (self.time()?, self.int4()?);
        if west <= -ZONE_SECONDS_MAX || west >= ZONE_SECONDS_MAX {
            let message = "time zone displacement out of range";
            return Err(SqlError::new(SqlState::InvalidTimeZoneDisplacement, message));
        }
        Ok(Datum::TimeTz(micros, west))
    }

    fn timestamp(&mut self) -> SqlResult<i64> {
        match self.int8()? {
            i64::MAX => Ok(TIMESTAMP_INFINITY),
            i64::MIN => Ok(TIMESTAMP_NEG_INFINITY),
            micros => micros
                .checked_add(EPOCH_2000_MICROS)
                .filter(|micros| *micros >= TIMESTAMP_MIN && *micros != TIMESTAMP_INFINITY)
                .ok_or_else(|| out_of_range("timestamp")),
        }
    }

    fn interval(&mut self) -> SqlResult<Datum> {
        let (micros, days, months) = (self.int8()?, self.int4()?, self.int4()?);
        Ok(Datum::Interval(Interval { months, days, micros }))
    }

    /// A length and that many bytes as a value; -1 is NULL.
    fn field(&mut self, oid: Oid, depth: usize) -> SqlResult<Datum> {
        let length = self.int4()?;
        if length == -1 {
            return Ok(Datum::Null);
        }
        let length = usize::try_from(length)
            .map_err(|_| SqlError::new(SqlState::InvalidBinaryRepresentation, "insufficient data left in message"))?;
        let mut field = Reader { rest: self.take(length)? };
        let value = field.value(SqlType::new(oid), depth)?;
        if field.rest.is_empty() { Ok(value) } else { Err(invalid("improper binary format in array element")) }
    }

    fn deeper(depth: usize) -> SqlResult<usize> {
        if depth >= DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded"));
        }
        Ok(depth + 1)
    }

    fn array_value(&mut self, expected: Oid, depth: usize) -> SqlResult<Datum> {
        let depth = Self::deeper(depth)?;
        let dimensions = self.int4()?;
        if dimensions < 0 {
            return Err(invalid(format!("invalid number of dimensions: {dimensions}")));
        }
        if dimensions > DIMENSIONS_MAX {
            let message =
                format!("number of array dimensions ({dimensions}) exceeds the maximum allowed ({DIMENSIONS_MAX})");
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        if !matches!(self.int4()?, 0 | 1) {
            return Err(invalid("invalid array flags"));
        }
        let element = Oid(self.int4()? as u32);
        if element != expected {
            return Err(wrong_element(element, expected));
        }
        let (dims, count) = self.dimensions(dimensions)?;
        // Every element takes 4 bytes at least: room is made for what is there, not for what is claimed.
        let mut values = Vec::with_capacity(count.min(self.rest.len() / 4));
        for _ in 0..count {
            values.push(self.field(element, depth)?);
        }
        let dims = if values.is_empty() { Vec::new() } else { dims };
        Ok(Datum::Array(Arc::new(ArrayValue { element, dims, values })))
    }

    /// Lengths and lower bounds, and the number of elements.
    fn dimensions(&mut self, dimensions: i32) -> SqlResult<(Vec<(i32, i32)>, usize)> {
        let mut dims = Vec::with_capacity(dimensions as usize);
        let mut count = usize::from(dimensions > 0);
        for _ in 0..dimensions {
            let (length, lower) = (self.int4()?, self.int4()?);
            let size = usize::try_from(length).ok().and_then(|length| count.checked_mul(length));
            let Some(total) = size.filter(|total| *total <= ELEMENTS_MAX) else {
                let message = "array size exceeds the maximum allowed (134217727)";
                return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
            };
            if lower.checked_add(length).is_none() {
                let message = format!("array lower bound is too large: {lower}");
                return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
            }
            count = total;
            dims.push((length, lower));
        }
        Ok((dims, count))
    }

    fn record(&mut self, depth: usize) -> SqlResult<Datum> {
        let depth = Self::deeper(depth)?;
        let count = self.int4()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let oid = Oid(self.int4()? as u32);
            fields.push((oid, self.field(oid, depth)?));
        }
        Ok(Datum::Record(fields.into()))
    }
}

fn wrong_element(found: Oid, expected: Oid) -> SqlError {
    let name = |oid: Oid| oid.type_info().map_or("???", |info| info.sql_name);
    let message = format!(
        "binary data has array element type {found} ({}) instead of expected {expected} ({})",
        name(found),
        name(expected)
    );
    SqlError::new(SqlState::DatatypeMismatch, message)
}
