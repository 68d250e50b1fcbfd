//! Lock modes and which of them conflict.

use proto::kv::LockMode;
use sharddb_proto as proto;

/// A lock mode. Row modes are PostgreSQL's four, weakest first; table modes apply to whole tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
    /// Somebody locks rows of the table.
    TableShared,
    /// Nobody else locks rows of the table.
    TableExclusive,
}

impl Mode {
    /// Whether two transactions cannot hold these on one key.
    pub(crate) fn conflicts(self, other: Self) -> bool {
        use Mode::{KeyShare, NoKeyUpdate, Share, TableExclusive, TableShared, Update};
        match (self, other) {
            (KeyShare, mode) | (mode, KeyShare) => mode == Update,
            (Share, Share) => false,
            (Share | NoKeyUpdate | Update, Share | NoKeyUpdate | Update) => true,
            (TableShared, TableShared) => false,
            (TableExclusive, TableExclusive | TableShared) | (TableShared, TableExclusive) => true,
            // Rows and tables never share a key.
            (Share | NoKeyUpdate | Update, TableShared | TableExclusive)
            | (TableShared | TableExclusive, Share | NoKeyUpdate | Update) => false,
        }
    }
}

impl Mode {
    /// Every mode at the place of its code (`kv::HeldLock::mode`).
    const CODES: [Self; 6] =
        [Self::KeyShare, Self::Share, Self::NoKeyUpdate, Self::Update, Self::TableShared, Self::TableExclusive];

    pub(super) fn code(self) -> u32 {
        self as u32
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        Self::CODES.get(code as usize).copied()
    }
}

impl From<LockMode> for Mode {
    fn from(mode: LockMode) -> Self {
        match mode {
            LockMode::KeyShare => Self::KeyShare,
            LockMode::Share => Self::Share,
            LockMode::NoKeyUpdate => Self::NoKeyUpdate,
            LockMode::Update => Self::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mode::{self, KeyShare, NoKeyUpdate, Share, Update};

    #[test]
    fn a_mode_survives_its_code() {
        assert!(Mode::CODES.into_iter().all(|mode| Mode::from_code(mode.code()) == Some(mode)));
        assert_eq!(Mode::from_code(6), None);
    }

    #[test]
    fn row_modes_conflict_as_in_postgresql() {
        let table: [(Mode, [bool; 4]); 4] = [
            (KeyShare, [false, false, false, true]),
            (Share, [false, false, true, true]),
            (NoKeyUpdate, [false, true, true, true]),
            (Update, [true, true, true, true]),
        ];
        for (mode, row) in table {
            for (other, expected) in [KeyShare, Share, NoKeyUpdate, Update].into_iter().zip(row) {
                assert_eq!(mode.conflicts(other), expected, "{mode:?} and {other:?}");
            }
        }
    }
}
