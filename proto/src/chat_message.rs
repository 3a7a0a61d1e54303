//! A chat message: one event of a conversation (posted, edited, deleted).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::record::{Record, RecordError, ensure, ensure_name};
use crate::uuid::Uuid;

/// The longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 16_384;

/// Where a message is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// A group, by its id.
    Group(String),
    /// Two users, by their ids in byte order.
    Direct(String, String),
}

impl Room {
    /// Makes the room of two users, whichever is named first.
    pub fn between(one: impl Into<String>, other: impl Into<String>) -> Self {
        let (one, other) = (one.into(), other.into());
        if one <= other { Self::Direct(one, other) } else { Self::Direct(other, one) }
    }

    /// Reads the key of a direct room, `anna_bert`. Ids have no `_`, so there is one way to
    /// split it.
    ///
    /// # Errors
    /// When there is not exactly one `_`.
    pub fn direct_of_key(key: &str) -> Result<Self, RecordError> {
        match key.split_once('_') {
            Some((one, other)) if !other.contains('_') => {
                Ok(Self::Direct(one.to_owned(), other.to_owned()))
            }
            _ => Err(RecordError::invalid("room", "must be two user ids with one `_` between")),
        }
    }

    fn check(&self) -> Result<(), RecordError> {
        match self {
            Self::Group(id) => ensure_name(id, "room"),
            Self::Direct(one, other) => {
                check_user(one, "room")?;
                check_user(other, "room")?;
                ensure(one < other, "room", "must name two users in byte order")
            }
        }
    }
}

impl fmt::Display for Room {
    /// The key in topics and tables: the group's id, or `anna_bert`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => formatter.write_str(id),
            Self::Direct(one, other) => write!(formatter, "{one}_{other}"),
        }
    }
}

/// Checks a user id: a name without `_`, which divides the two ids of a direct room.
fn check_user(id: &str, field: &'static str) -> Result<(), RecordError> {
    ensure_name(id, field)?;
    ensure(!id.contains('_'), field, "must have no `_` in a user id")
}

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatAction {
    /// Says something new.
    Post,
    /// Replaces the text of its target.
    Edit,
    /// Hides its target; the text is kept.
    Delete,
    /// Removes the text of its target for good.
    Erase,
}

/// One event of a conversation. Its identity is (room, uuid), for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Source, sequence, time, trace, id.
    pub envelope: Envelope,
    /// Given by the client.
    pub uuid: Uuid,
    /// Where it is said.
    pub room: Room,
    /// Who says it: in a direct room one of the two.
    pub sender: String,
    /// What it does.
    pub action: ChatAction,
    /// What it says, at most [`TEXT_BYTES_MAX`]; empty for delete and erase.
    #[serde(default)]
    pub text: String,
    /// Place in the room, from 1 without holes; given once, when it is persisted.
    #[serde(default)]
    pub room_sequence: Option<u64>,
    /// The message of the same room that it answers.
    #[serde(default)]
    pub reply_to: Option<Uuid>,
    /// The message that edit, delete and erase are about.
    #[serde(default)]
    pub target: Option<Uuid>,
}

impl Record for ChatMessage {
    const NAME: &'static str = "ChatMessage";

    fn check(&self) -> Result<(), RecordError> {
        self.envelope.check()?;
        self.room.check()?;
        check_user(&self.sender, "sender")?;
        if let Room::Direct(one, other) = &self.room {
            let member = self.sender == *one || self.sender == *other;
            ensure(member, "sender", "must be one of the two users of a direct room")?;
        }
        let speaks = matches!(self.action, ChatAction::Post | ChatAction::Edit);
        ensure(speaks != self.text.is_empty(), "text", "must be there for post and edit only")?;
        ensure(self.text.len() <= TEXT_BYTES_MAX, "text", "must have at most 16,384 bytes")?;
        // PostgreSQL stores no NUL in a text.
        ensure(!self.text.contains('\0'), "text", "must have no NUL")?;
        ensure(self.room_sequence != Some(0), "room_sequence", "must be at least 1")?;
        let post = self.action == ChatAction::Post;
        ensure(post || self.reply_to.is_none(), "reply_to", "must be absent unless post")?;
        ensure(post == self.target.is_none(), "target", "must be there unless post")?;
        ensure(self.target != Some(self.uuid), "target", "must be another message")
    }
}

#[cfg(test)]
mod tests {
    use super::{ChatAction, ChatMessage, Room};
    use crate::envelope::Envelope;
    use crate::event_time::EventTime;
    use crate::record::Record;
    use crate::uuid::Uuid;

    fn post(room: Room, sender: &str) -> ChatMessage {
        ChatMessage {
            envelope: Envelope::new("chat", EventTime::from_ns(1)),
            uuid: Uuid::from_bits(1),
            room,
            sender: sender.to_owned(),
            action: ChatAction::Post,
            text: "hello".to_owned(),
            room_sequence: None,
            reply_to: None,
            target: None,
        }
    }

    #[test]
    fn a_direct_room_has_one_key_and_two_speakers() {
        let room = Room::between("bert", "anna");
        assert_eq!(room.to_string(), "anna_bert");
        assert_eq!(Room::direct_of_key("anna_bert").unwrap(), room);
        post(room.clone(), "anna").check().unwrap();
        assert!(post(room, "carl").check().is_err());
        assert!(post(Room::direct_of_key("bert_anna").unwrap(), "anna").check().is_err());
        assert!(post(Room::between("anna", "anna"), "anna").check().is_err());
        for key in ["anna", "a_b_c", ""] {
            assert!(Room::direct_of_key(key).is_err());
        }
    }

    #[test]
    fn names_that_would_change_a_topic_are_refused() {
        for id in ["", "a/b", "#", "+"] {
            assert!(post(Room::Group(id.to_owned()), "anna").check().is_err());
        }
        post(Room::Group("day_traders".to_owned()), "anna").check().unwrap();
        assert!(post(Room::Group("g".to_owned()), "an_na").check().is_err());
    }

    #[test]
    fn an_edit_names_another_message_and_a_deletion_says_nothing() {
        let mut message = post(Room::Group("g".to_owned()), "anna");
        message.action = ChatAction::Edit;
        assert!(message.check().is_err());
        message.target = Some(message.uuid);
        assert!(message.check().is_err());
        message.target = Some(Uuid::from_bits(2));
        message.check().unwrap();
        message.action = ChatAction::Delete;
        assert!(message.check().is_err());
        message.text.clear();
        message.check().unwrap();
        message.text = "a\0b".to_owned();
        assert!(message.check().is_err());
    }
}
