//! A broker in memory: it delivers again what was not acknowledged, and forgets what was.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::market::Record;

/// A queue that outlives the process that reads it.
#[derive(Debug, Clone)]
pub(crate) struct Broker(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    ready: VecDeque<Message>,
    /// Delivered on the connection that is open, by tag.
    unacknowledged: VecDeque<(u64, Message)>,
    connection: u64,
    tag: u64,
    prefetch: usize,
}

/// A message with its publisher's name.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: u128,
    pub(crate) records: Vec<Record>,
}

impl Broker {
    pub(crate) fn new(messages: Vec<Message>, prefetch: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            ready: messages.into(),
            unacknowledged: VecDeque::new(),
            connection: 0,
            tag: 0,
            prefetch,
        })))
    }

    /// A process connects: what was not acknowledged goes back to the front.
    pub(crate) fn connect(&self) -> u64 {
        let mut queue = self.0.lock().unwrap();
        while let Some((_, message)) = queue.unacknowledged.pop_back() {
            queue.ready.push_front(message);
        }
        queue.connection += 1;
        queue.tag = 0;
        queue.connection
    }

    /// Delivers a message with its tag, if the prefetch allows it.
    pub(crate) fn deliver(&self) -> Option<(u64, Message)> {
        let mut queue = self.0.lock().unwrap();
        if queue.unacknowledged.len() >= queue.prefetch {
            return None;
        }
        let message = queue.ready.pop_front()?;
        queue.tag += 1;
        let tag = queue.tag;
        queue.unacknowledged.push_back((tag, message.clone()));
        Some((tag, message))
    }

    /// Acknowledges all up to a tag of this connection.
    pub(crate) fn acknowledge(&self, connection: u64, tag: u64) -> Result<(), String> {
        let mut queue = self.0.lock().unwrap();
        if connection != queue.connection || tag > queue.tag {
            return Err(format!("unknown delivery tag {tag} of connection {connection}"));
        }
        while queue.unacknowledged.front().is_some_and(|(other, _)| *other <= tag) {
            queue.unacknowledged.pop_front();
        }
        Ok(())
    }

    /// Tells whether everything was delivered and acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        let queue = self.0.lock().unwrap();
        queue.ready.is_empty() && queue.unacknowledged.is_empty()
    }

    /// Tells whether everything was delivered.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.lock().unwrap().ready.is_empty()
    }
}
