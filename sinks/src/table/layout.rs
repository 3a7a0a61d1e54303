//! The SQL of a table: names, types, keys, upserts and replacements, for both dialects.

use dataflows::fault::Fault;
use dataflows::kind::Kind;
use proto::row::{
    CANDLE_COLUMNS, Column, ColumnType, REJECT_COLUMNS, STATUS_COLUMNS, TICK_COLUMNS,
};

/// The version of the layouts below; goes up when a column changes its meaning.
pub(super) const LAYOUT_VERSION: i64 = 1;

/// Which SQL is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The checked name of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

impl TableName {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let is_word = |word: &str| {
            word.len() <= 63
                && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let (schema, table) =
            name.split_once('.').map_or((None, name), |(schema, table)| (Some(schema), table));
        if !is_word(table) || !schema.is_none_or(is_word) {
            return Err(format!(
                "`{name}` cannot name a table; expected at most 63 letters, digits and \
                 underscores, not starting with a digit, such as candles or market.candles"
            ));
        }
        if table.starts_with("_tapeflow") || table.starts_with("sqlite_") {
            return Err(format!("`{name}` is a name that is kept for other use; choose another"));
        }
        Ok(Self { schema: schema.map(str::to_owned), table: table.to_owned() })
    }

    /// The table itself.
    pub(super) fn sql(&self) -> String {
        self.beside(&self.table)
    }

    /// Another table of the same schema.
    pub(super) fn beside(&self, table: &str) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\".\"{table}\""),
            None => format!("\"{table}\""),
        }
    }
}

/// What a table of one kind of record looks like.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) columns: Vec<Column>,
    /// The columns that tell rows apart.
    pub(super) key: &'static [&'static str],
    /// The column that a range is a range of.
    pub(super) time: Column,
}

/// Names a row that has no better name; see [`super::reject_id`].
const ID: Column = Column { name: "id", kind: ColumnType::Text, nullable: false };

/// Whose reject it is: several jobs may share a table.
const JOB: Column = Column { name: "job", kind: ColumnType::Text, nullable: true };

impl Layout {
    pub(super) fn new(kind: Kind) -> Result<Self, Fault> {
        let (columns, key, time): (Vec<Column>, &[&str], _) = match kind {
            Kind::Ticks => (
                TICK_COLUMNS.to_vec(),
                &["source", "instrument", "time", "nanos", "sequence"],
                ("time", ColumnType::Time),
            ),
            Kind::Candles => (
                CANDLE_COLUMNS.to_vec(),
                &["source", "instrument", "timeframe", "start"],
                ("start", ColumnType::Second),
            ),
            Kind::Rejects => (
                [ID, JOB].into_iter().chain(REJECT_COLUMNS.iter().copied()).collect(),
                &["id"],
                ("clock", ColumnType::Time),
            ),
            Kind::Statuses => (
                STATUS_COLUMNS.to_vec(),
                &["source", "instrument", "clock"],
                ("clock", ColumnType::Time),
            ),
            Kind::Payloads => {
                return Err(Fault::defect(
                    "sinks.table",
                    "payloads have no key to tell them apart",
                ));
            }
        };
        let time = Column { name: time.0, kind: time.1, nullable: false };
        Ok(Self { kind, columns, key, time })
    }

    /// Statements that make the table, or the temporary one that rows are staged in.
    pub(super) fn create(&self, table: &str, dialect: Dialect, is_staging: bool) -> Vec<String> {
        let mut columns = String::new();
        for column in &self.columns {
            let kind = type_name(column.kind, dialect);
            let null = if column.nullable { "" } else { " NOT NULL" };
            columns.push_str(&format!("\"{}\" {kind}{null}, ", column.name));
        }
        let key = quoted(self.key);
        let temporary = if is_staging { "TEMPORARY " } else { "" };
        let without_rowid = match dialect {
            Dialect::Sqlite if self.kind != Kind::Ticks => " WITHOUT ROWID",
            _ => "",
        };
        // Rows with a null in a UNIQUE key are never equal: ticks without a sequence append.
        let unique = if self.kind == Kind::Ticks { "UNIQUE" } else { "PRIMARY KEY" };
        vec![format!(
            "CREATE {temporary}TABLE IF NOT EXISTS {table} ({columns}{unique} ({key})){without_rowid}"
        )]
    }

    /// What an INSERT does where the key is there already. `target` goes by the name `t`.
    pub(super) fn on_conflict(&self) -> String {
        let key = quoted(self.key);
        if self.kind != Kind::Candles {
            return format!("ON CONFLICT ({key}) DO NOTHING");
        }
        let set: Vec<String> =
            self.content().map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect();
        format!(
            "ON CONFLICT ({key}) DO UPDATE SET {}, \"revision\" = excluded.\"revision\", \
             \"reason\" = excluded.\"reason\" WHERE excluded.\"revision\" >= t.\"revision\"",
            set.join(", ")
        )
    }

    /// Statements that put the rows of `staged` in the place of those rows of `table` that
    /// `range` holds for.
    pub(super) fn replace(&self, table: &str, staged: &str, range: &str) -> Vec<String> {
        let columns = self.column_list();
        match self.kind {
            Kind::Ticks => vec![
                format!("DELETE FROM {table} AS t WHERE {range}"),
                format!(
                    "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {staged} \
                     WHERE true {}",
                    self.on_conflict()
                ),
            ],
            Kind::Candles => {
                let same: Vec<String> =
                    self.key.iter().map(|name| format!("s.\"{name}\" = t.\"{name}\"")).collect();
                let set: Vec<String> = self
                    .content()
                    .map(|name| format!("\"{name}\" = excluded.\"{name}\""))
                    .collect();
                let differs: Vec<String> = self
                    .content()
                    .map(|name| format!("t.\"{name}\" IS DISTINCT FROM excluded.\"{name}\""))
                    .collect();
                vec![
                    format!(
                        "DELETE FROM {table} AS t WHERE {range} AND NOT EXISTS \
                         (SELECT 1 FROM {staged} AS s WHERE {})",
                        same.join(" AND ")
                    ),
                    format!(
                        "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {staged} \
                         WHERE true ON CONFLICT ({}) DO UPDATE SET {}, \
                         \"revision\" = t.\"revision\" + 1, \"reason\" = 'backfill' WHERE {}",
                        quoted(self.key),
                        set.join(", "),
                        differs.join(" OR ")
                    ),
                ]
            }
            // When a reject was made says nothing of when its record happened, and how a feed stood
            // is not found out afterwards: only added to.
            Kind::Rejects | Kind::Payloads | Kind::Statuses => vec![format!(
                "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {staged} \
                 WHERE true {}",
                self.on_conflict()
            )],
        }
    }

    pub(super) fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        quoted(&names)
    }

    /// What a row says, apart from its key and its revision.
    fn content(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .map(|column| column.name)
            .filter(|name| !self.key.contains(name) && *name != "revision" && *name != "reason")
    }
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

/// The type of a column that we make.
pub(super) const fn type_name(kind: ColumnType, dialect: Dialect) -> &'static str {
    match (dialect, kind) {
        (Dialect::Sqlite, ColumnType::Price | ColumnType::Quantity) => "REAL",
        (Dialect::Sqlite, ColumnType::Integer | ColumnType::Nanos) => "INTEGER",
        (Dialect::Sqlite, ColumnType::Bytes) => "BLOB",
        (Dialect::Sqlite, _) => "TEXT",
        (Dialect::Postgres, ColumnType::Text) => "text",
        (Dialect::Postgres, ColumnType::Integer) => "bigint",
        (Dialect::Postgres, ColumnType::Nanos) => "smallint",
        (Dialect::Postgres, ColumnType::Price) => "numeric(18,9)",
        (Dialect::Postgres, ColumnType::Quantity) => "numeric(18,8)",
        (Dialect::Postgres, ColumnType::Second | ColumnType::Time) => "timestamp with time zone",
        (Dialect::Postgres, ColumnType::Date) => "date",
        (Dialect::Postgres, ColumnType::Bytes) => "bytea",
    }
}

/// Tells whether a column of type `found` (as the database writes it) holds our values unchanged.
pub(super) fn is_compatible(found: &str, kind: ColumnType, dialect: Dialect) -> bool {
    if dialect == Dialect::Sqlite {
        let found = found.to_ascii_uppercase();
        return match type_name(kind, dialect) {
            "REAL" => ["REAL", "FLOA", "DOUB"].iter().any(|word| found.contains(word)),
            "INTEGER" => found.contains("INT"),
            "BLOB" => found.contains("BLOB") || found.is_empty(),
            _ => ["TEXT", "CHAR", "CLOB"].iter().any(|word| found.contains(word)),
        };
    }
    match kind {
        ColumnType::Text => found == "text" || found == "character varying",
        ColumnType::Integer => found == "bigint" || found == "numeric",
        ColumnType::Nanos => ["smallint", "integer", "bigint"].contains(&found),
        ColumnType::Price | ColumnType::Quantity => {
            found == "numeric" || found == type_name(kind, dialect)
        }
        _ => found == type_name(kind, dialect),
    }
}
