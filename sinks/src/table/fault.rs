//! What a database says, with what to do about it. Never shows a URL's password.

use dataflows::fault::Fault;
use sqlx::Error;

/// A fault, and whether it is the connection's alone.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// The server was not reached, went away or is going or coming: another connection may work.
    pub(super) is_lost: bool,
}

impl Failure {
    /// Makes one of an error at `place`.
    pub(super) fn new(place: &str, error: &Error) -> Self {
        Self { fault: fault(place, error), is_lost: is_lost(error) }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, is_lost: false }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

/// Tells whether an error is the connection's, by SQLSTATE where the server has said one: class 08,
/// going down or coming up, and a transaction that was left alone for too long.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        Error::Database(error) => error.code().is_some_and(|code| {
            matches!(&*code, "57P01" | "57P02" | "57P03" | "25P03") || code.starts_with("08")
        }),
        _ => false,
    }
}

/// Makes a fault of an error at `place`.
fn fault(place: &str, error: &Error) -> Fault {
    let remedy = match error {
        Error::Io(_) => Some("check that the server runs and can be reached from here"),
        Error::Tls(_) => Some("check the server's certificate, or say ?sslmode= in the URL"),
        Error::Database(error) => error.code().and_then(|code| remedy(&code)),
        _ => None,
    };
    let said = match error {
        Error::Database(error) => error.message().to_owned(),
        Error::Io(error) => format!("no connection: {error}"),
        other => other.to_string(),
    };
    match remedy {
        Some(remedy) => Fault::stop(place, format!("{said}; {remedy}")),
        None => Fault::stop(place, said),
    }
}

/// What to do, by SQLSTATE (PostgreSQL, five characters) or result code (SQLite, a number).
fn remedy(code: &str) -> Option<&'static str> {
    if code.len() == 5
        && let Some(remedy) = postgres_remedy(code)
    {
        return Some(remedy);
    }
    // An extended code of SQLite holds the primary one in its low byte.
    match code.parse::<u32>().ok()? & 0xff {
        3 | 8 => Some("make the file and its folder writable"),
        5 | 6 => Some("another program holds the database; end it, or wait until it is done"),
        10 => Some("check the disk"),
        11 | 26 => Some("the file is damaged or is no SQLite database; restore it or name another"),
        13 => Some("the disk is full; free some space"),
        14 => Some("check that the folder exists and is writable"),
        _ => None,
    }
}

fn postgres_remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => "check user and password in the URL",
        "3D000" => "create the database first: CREATE DATABASE …",
        "3F000" => "create the schema first: CREATE SCHEMA …",
        "42501" => "grant the user the right to do so",
        "42P10" => "the table has no primary key or unique index over the key columns; add one",
        "53100" => "the server's disk is full; free some space",
        "53300" => "the server allows no more connections; end some or raise max_connections",
        "57P01" | "57P02" | "57P03" => "the server is going down or coming up; try again later",
        "55P03" | "40P01" => "another program holds a lock on the table; try again when it is done",
        _ => return None,
    })
}
