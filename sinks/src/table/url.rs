//! Where a database is: parsed, and shown without its password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// A database's address.
#[derive(Clone)]
pub(super) enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// Understands a URL. The message never holds the URL, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains('?') {
                return Err(
                    "expected a file after `sqlite:`, such as sqlite:data/candles.db".into()
                );
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PgConnectOptions::from_str(url)
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|_| {
                    "not a PostgreSQL URL; expected postgres://user:password@host:port/database"
                        .to_owned()
                });
        }
        Err("not a database URL; expected sqlite:FILE or postgres://…".to_owned())
    }

    /// Makes a relative file start at `root`.
    pub(super) fn under(self, root: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(root.join(path)),
            other @ Self::Postgres(_) => other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let (user, host, port) =
                    (options.get_username(), options.get_host(), options.get_port());
                let database = options.get_database().unwrap_or(user);
                write!(formatter, "postgres://{user}@{host}:{port}/{database}")
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}
