//! The options with a fixed set of values.
//!
//! Answers for Debezium's `EnumeratedValue`s: texts are read in any case, with blanks around them.

/// Options with a fixed set of values: the enum, its texts, and how a text is read.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The value of this text, in any case and with blanks around it.
            #[must_use]
            pub fn of(text: &str) -> Option<Self> {
                let text = text.trim();
                $(if text.eq_ignore_ascii_case($text) { return Some(Self::$variant); })+
                None
            }
            /// The text as it stands in a configuration.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(crate) use choice;

choice! {
    /// `debezium.compat.version`: the line of Debezium whose records are made. Ours, not Debezium's.
    CompatVersion {
        /// 2.4: no context headers, source blocks and envelopes of that line, its type mapping.
        V24 = "2.4",
        /// 3.7.
        V37 = "3.7",
    }
}

impl CompatVersion {
    /// What source blocks say they were made by.
    #[must_use]
    pub const fn release(self) -> &'static str {
        match self {
            Self::V24 => "2.4.2.Final",
            Self::V37 => "3.7.0.Final",
        }
    }
}

choice! {
    /// `snapshot.mode`.
    SnapshotMode {
        /// At every start.
        Always = "always",
        /// Unless a position is stored; then stream.
        Initial = "initial",
        /// Unless a position is stored; no stream.
        InitialOnly = "initial_only",
        /// Never; only stream.
        NoData = "no_data",
        /// Also when the stored position is gone.
        WhenNeeded = "when_needed",
        /// As the `snapshot.mode.configuration.based.*` keys say.
        ConfigurationBased = "configuration_based",
        /// A class decides.
        Custom = "custom",
    }
}
choice! {
    /// `snapshot.isolation.mode`.
    IsolationMode {
        /// `SERIALIZABLE, READ ONLY, DEFERRABLE`.
        Serializable = "serializable",
        /// `REPEATABLE READ`.
        RepeatableRead = "repeatable_read",
        /// `READ COMMITTED`.
        ReadCommitted = "read_committed",
        /// `READ UNCOMMITTED`.
        ReadUncommitted = "read_uncommitted",
    }
}
choice! {
    /// `snapshot.locking.mode`.
    LockingMode {
        /// No lock.
        None = "none",
        /// `ACCESS SHARE`.
        Shared = "shared",
        /// A class decides.
        Custom = "custom",
    }
}
choice! {
    /// `snapshot.tables.order.by.row.count`.
    RowCountOrder {
        /// By name and include list.
        Disabled = "disabled",
        /// Small tables first.
        Ascending = "ascending",
        /// Large tables first.
        Descending = "descending",
    }
}
choice! {
    /// `publication.autocreate.mode`.
    AutocreateMode {
        /// For all tables.
        AllTables = "all_tables",
        /// For the captured tables.
        Filtered = "filtered",
        /// For none.
        NoTables = "no_tables",
        /// Not at all.
        Disabled = "disabled",
    }
}
choice! {
    /// `event.processing.failure.handling.mode`.
    FailureHandling {
        /// The task fails.
        Fail = "fail",
        /// The event is dropped and logged.
        Warn = "warn",
        /// The event is dropped.
        Skip = "skip",
        /// The event is dropped.
        Ignore = "ignore",
    }
}
choice! {
    /// `event.converting.failure.handling.mode`.
    ConversionFailure {
        /// The field is null, and it is logged.
        Warn = "warn",
        /// The task fails.
        Fail = "fail",
        /// The field is null.
        Skip = "skip",
    }
}
choice! {
    /// `lsn.flush.mode`.
    LsnFlushMode {
        /// The connector confirms what is stored.
        Connector = "connector",
        /// The driver also confirms on keep-alives of an idle database.
        ConnectorAndDriver = "connector_and_driver",
        /// Nobody confirms.
        Manual = "manual",
    }
}
choice! {
    /// `lsn.flush.timeout.action`.
    FlushTimeoutAction {
        /// The task fails.
        Fail = "fail",
        /// It is logged.
        Warn = "warn",
        /// Nothing.
        Ignore = "ignore",
    }
}
choice! {
    /// `offset.mismatch.strategy`.
    OffsetMismatchStrategy {
        /// The server decides.
        NoValidation = "no_validation",
        /// The slot is moved up to the offset.
        TrustOffset = "trust_offset",
        /// The stream starts where the slot is.
        TrustSlot = "trust_slot",
        /// Whichever is further.
        TrustGreaterLsn = "trust_greater_lsn",
    }
}
choice! {
    /// `guardrail.collections.limit.action`.
    GuardrailAction {
        /// It is logged.
        Warn = "warn",
        /// The task fails.
        Fail = "fail",
    }
}
choice! {
    /// `schema.refresh.mode`.
    SchemaRefreshMode {
        /// On every difference.
        ColumnsDiff = "columns_diff",
        /// Not when only unchanged toasted values are missing.
        ExcludeUnchangedToast = "columns_diff_exclude_unchanged_toast",
    }
}
