//! Why a group could not be started or a proposal was not carried out.

use crate::log::LogError;

/// A failure of a host or group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This replica does not lead. The proposal had no effect.
    #[error("the replica does not lead its group")]
    NotLeader {
        /// The leader's node, if known.
        leader: Option<u64>,
    },
    /// The proposal is larger than `PROPOSAL_BYTES_MAX`. It had no effect.
    #[error("a proposal of {bytes} bytes is too large")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The log refuses writes. The proposal was not submitted and has no effect, now or later.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The host failed while the proposal was on its way to the disk. It may have its effect after a restart.
    #[error("the outcome of a proposal is unknown: {0}")]
    Unknown(#[source] LogError),
    /// The lead was lost while the proposal was on its way. It may have its effect all the same, or get it later.
    #[error("the replica lost the lead of its group before the outcome of a proposal was known")]
    Lost,
    /// The group stopped; what was asked was not a proposal.
    #[error("the Raft group has stopped: {0}")]
    Stopped(String),
    /// The members were not changed.
    #[error("the members of the Raft group were not changed: {0}")]
    Membership(String),
    /// The lead was not handed over.
    #[error("node {to} did not take over the Raft group: {reason}")]
    Transfer {
        /// The node that was to lead.
        to: u64,
        /// Why it does not.
        reason: &'static str,
    },
    /// There is a group of this id already.
    #[error("group {0} exists")]
    Exists(u64),
}

impl Error {
    /// The SQLSTATE of the cause, as its five characters.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotLeader { .. } => "57P03",
            Self::TooLarge { .. } => "54000",
            Self::Log(error) | Self::Unknown(error) => error.sqlstate(),
            Self::Lost => "40003",
            Self::Stopped(_) => "58000",
            Self::Membership(_) | Self::Transfer { .. } => "55000",
            Self::Exists(_) => "XX000",
        }
    }
}

pub(crate) fn stopped(error: impl std::fmt::Display) -> Error {
    Error::Stopped(error.to_string())
}
