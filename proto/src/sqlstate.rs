//! SQLSTATEs that ShardDB emits, with PostgreSQL's condition names.

use std::fmt;

macro_rules! sqlstates {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A five-character SQLSTATE.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SqlState { $(#[doc = concat!("`", $code, "`")] $(#[$doc])* $name,)* }

        impl SqlState {
            /// Every SQLSTATE, in code order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The five characters.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The SQLSTATE with these five characters.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

sqlstates! {
    SuccessfulCompletion = "00000",
    Warning = "01000",
    NoData = "02000",
    ConnectionException = "08000",
    ConnectionDoesNotExist = "08003",
    ConnectionFailure = "08006",
    ProtocolViolation = "08P01",
    FeatureNotSupported = "0A000",
    CardinalityViolation = "21000",
    DataException = "22000",
    StringDataRightTruncation = "22001",
    NullValueNoIndicator = "22002",
    NumericValueOutOfRange = "22003",
    NullValueNotAllowed = "22004",
    ErrorInAssignment = "22005",
    InvalidDatetimeFormat = "22007",
    DatetimeFieldOverflow = "22008",
    InvalidTimeZoneDisplacement = "22009",
    EscapeCharacterConflict = "2200B",
    InvalidRowCountInLimitClause = "2201W",
    InvalidRowCountInResultOffsetClause = "2201X",
    InvalidArgumentForLogarithm = "2201E",
    InvalidArgumentForPowerFunction = "2201F",
    InvalidArgumentForNtileFunction = "22014",
    InvalidArgumentForNthValueFunction = "22016",
    InvalidArgumentForWidthBucketFunction = "2201G",
    SubstringError = "22011",
    DivisionByZero = "22012",
    InvalidPrecedingOrFollowingSize = "22013",
    IntervalFieldOverflow = "22015",
    InvalidCharacterValueForCast = "22018",
    InvalidEscapeCharacter = "22019",
    InvalidRegularExpression = "2201B",
    CharacterNotInRepertoire = "22021",
    IndicatorOverflow = "22022",
    InvalidParameterValue = "22023",
    InvalidEscapeSequence = "22025",
    StringDataLengthMismatch = "22026",
    TrimError = "22027",
    ArraySubscriptError = "2202E",
    SequenceGeneratorLimitExceeded = "2200H",
    InvalidJsonText = "22032",
    InvalidSqlJsonSubscript = "22033",
    InvalidTextRepresentation = "22P02",
    InvalidBinaryRepresentation = "22P03",
    BadCopyFileFormat = "22P04",
    UntranslatableCharacter = "22P05",
    IntegrityConstraintViolation = "23000",
    RestrictViolation = "23001",
    NotNullViolation = "23502",
    ForeignKeyViolation = "23503",
    UniqueViolation = "23505",
    CheckViolation = "23514",
    ExclusionViolation = "23P01",
    InvalidCursorState = "24000",
    InvalidTransactionState = "25000",
    ActiveSqlTransaction = "25001",
    ReadOnlySqlTransaction = "25006",
    NoActiveSqlTransaction = "25P01",
    InFailedSqlTransaction = "25P02",
    IdleInTransactionSessionTimeout = "25P03",
    InvalidSqlStatementName = "26000",
    InvalidAuthorizationSpecification = "28000",
    InvalidPassword = "28P01",
    DependentObjectsStillExist = "2BP01",
    InvalidTransactionTermination = "2D000",
    SavepointException = "3B000",
    InvalidSavepointSpecification = "3B001",
    InvalidCursorName = "34000",
    InvalidCatalogName = "3D000",
    InvalidSchemaName = "3F000",
    TransactionRollback = "40000",
    SerializationFailure = "40001",
    StatementCompletionUnknown = "40003",
    DeadlockDetected = "40P01",
    SyntaxErrorOrAccessRuleViolation = "42000",
    SyntaxError = "42601",
    InsufficientPrivilege = "42501",
    CannotCoerce = "42846",
    GroupingError = "42803",
    WindowingError = "42P20",
    InvalidRecursion = "42P19",
    InvalidForeignKey = "42830",
    InvalidName = "42602",
    NameTooLong = "42622",
    ReservedName = "42939",
    DatatypeMismatch = "42804",
    IndeterminateDatatype = "42P18",
    CollationMismatch = "42P21",
    IndeterminateCollation = "42P22",
    WrongObjectType = "42809",
    GeneratedAlways = "428C9",
    UndefinedColumn = "42703",
    UndefinedFunction = "42883",
    UndefinedTable = "42P01",
    UndefinedParameter = "42P02",
    UndefinedObject = "42704",
    DuplicateColumn = "42701",
    DuplicateCursor = "42P03",
    DuplicateDatabase = "42P04",
    DuplicateFunction = "42723",
    DuplicatePreparedStatement = "42P05",
    DuplicateSchema = "42P06",
    DuplicateTable = "42P07",
    DuplicateAlias = "42712",
    DuplicateObject = "42710",
    AmbiguousColumn = "42702",
    AmbiguousFunction = "42725",
    AmbiguousParameter = "42P08",
    AmbiguousAlias = "42P09",
    InvalidColumnReference = "42P10",
    InvalidColumnDefinition = "42611",
    InvalidCursorDefinition = "42P11",
    InvalidDatabaseDefinition = "42P12",
    InvalidFunctionDefinition = "42P13",
    InvalidPreparedStatementDefinition = "42P14",
    InvalidSchemaDefinition = "42P15",
    InvalidTableDefinition = "42P16",
    InvalidObjectDefinition = "42P17",
    WithCheckOptionViolation = "44000",
    InsufficientResources = "53000",
    DiskFull = "53100",
    OutOfMemory = "53200",
    TooManyConnections = "53300",
    ConfigurationLimitExceeded = "53400",
    ProgramLimitExceeded = "54000",
    StatementTooComplex = "54001",
    TooManyColumns = "54011",
    TooManyArguments = "54023",
    ObjectNotInPrerequisiteState = "55000",
    ObjectInUse = "55006",
    CantChangeRuntimeParam = "55P02",
    LockNotAvailable = "55P03",
    OperatorIntervention = "57000",
    QueryCanceled = "57014",
    IdleSessionTimeout = "57P05",
    AdminShutdown = "57P01",
    CrashShutdown = "57P02",
    CannotConnectNow = "57P03",
    SystemError = "58000",
    IoError = "58030",
    ConfigFileError = "F0000",
    RaiseException = "P0001",
    InternalError = "XX000",
    DataCorrupted = "XX001",
    IndexCorrupted = "XX002",
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::SqlState;

    #[test]
    fn codes_are_five_characters_and_unique() {
        let mut seen = HashSet::new();
        for state in SqlState::ALL {
            let code = state.code();
            assert_eq!(code.len(), 5, "{code}");
            assert!(code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{code}");
            assert!(seen.insert(code), "{code} twice");
            assert_eq!(SqlState::from_code(code), Some(*state));
        }
    }
}
