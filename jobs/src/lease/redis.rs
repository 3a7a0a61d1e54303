//! Leases as keys of Redis that expire: `SET … NX PX`, and scripts that compare before they change.

use std::time::Duration;

use redis::{Client, Connection, RedisResult};

use super::{ANSWER_WITHIN, Server};

/// Changes the key's time only if its value is the holder's.
const RENEW: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                     return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end";

const GIVE_BACK: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                         return redis.call('del', KEYS[1]) else return 0 end";

/// A server with a connection that is made again when it breaks.
pub(super) struct Redis {
    client: Client,
    connection: Option<Connection>,
}

impl Redis {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        // What is wrong with an address is not told in full: it may hold a password.
        let client =
            Client::open(url).map_err(|_| "`run.lease.url`: expected redis://host:port")?;
        Ok(Self { client, connection: None })
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Result<T, String> {
        let Self { client, connection } = self;
        let answer = || {
            let open = match connection {
                Some(open) => open,
                None => {
                    let opened = client.get_connection_with_timeout(ANSWER_WITHIN)?;
                    opened.set_read_timeout(Some(ANSWER_WITHIN))?;
                    opened.set_write_timeout(Some(ANSWER_WITHIN))?;
                    connection.insert(opened)
                }
            };
            ask(open)
        };
        answer().map_err(|error| {
            self.connection = None;
            format!("the Redis server that keeps it: {error}")
        })
    }
}

fn key(job: &str) -> String {
    format!("tapeflow:lease:{job}")
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

impl Server for Redis {
    fn take(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<Option<u64>, String> {
        let key = key(job);
        self.ask(|connection| {
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(holder).arg("NX").arg("PX").arg(milliseconds(ttl));
            let is_set: Option<String> = set.query(connection)?;
            if is_set.is_none() {
                return Ok(None);
            }
            redis::cmd("INCR").arg(format!("{key}:number")).query(connection).map(Some)
        })
    }

    fn renew(&mut self, job: &str, holder: &str, ttl: Duration) -> Result<bool, String> {
        self.ask(|connection| {
            let mut script = redis::cmd("EVAL");
            script.arg(RENEW).arg(1).arg(key(job)).arg(holder).arg(milliseconds(ttl));
            let changed: u64 = script.query(connection)?;
            Ok(changed > 0)
        })
    }

    fn give_back(&mut self, job: &str, holder: &str) -> Result<(), String> {
        self.ask(|connection| {
            let mut script = redis::cmd("EVAL");
            script.arg(GIVE_BACK).arg(1).arg(key(job)).arg(holder);
            let _removed: u64 = script.query(connection)?;
            Ok(())
        })
    }
}
