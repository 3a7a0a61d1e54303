//! Chat message on the wire.

use crate::chat_message::{ChatAction, ChatMessage, Room};
use crate::protobuf::{Wire, meta};
use crate::record::RecordError;
use crate::uuid::Uuid;
use crate::wire;

fn room_from_wire(kind: i32, key: String) -> Result<Room, RecordError> {
    match wire::RoomKind::try_from(kind) {
        Ok(wire::RoomKind::Group) => Ok(Room::Group(key)),
        Ok(wire::RoomKind::Direct) => Room::direct_of_key(&key),
        Ok(wire::RoomKind::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "room_kind", number: kind })
        }
    }
}

fn action_from_wire(number: i32) -> Result<ChatAction, RecordError> {
    match wire::ChatAction::try_from(number) {
        Ok(wire::ChatAction::Post) => Ok(ChatAction::Post),
        Ok(wire::ChatAction::Edit) => Ok(ChatAction::Edit),
        Ok(wire::ChatAction::Delete) => Ok(ChatAction::Delete),
        Ok(wire::ChatAction::Erase) => Ok(ChatAction::Erase),
        Ok(wire::ChatAction::Unspecified) | Err(_) => {
            Err(RecordError::UnknownValue { field: "action", number })
        }
    }
}

const fn action_to_wire(action: ChatAction) -> wire::ChatAction {
    match action {
        ChatAction::Post => wire::ChatAction::Post,
        ChatAction::Edit => wire::ChatAction::Edit,
        ChatAction::Delete => wire::ChatAction::Delete,
        ChatAction::Erase => wire::ChatAction::Erase,
    }
}

fn uuid(text: &str, field: &'static str) -> Result<Uuid, RecordError> {
    text.parse().map_err(|_| RecordError::invalid(field, "must be a UUID of 36 characters"))
}

fn maybe_uuid(text: &str, field: &'static str) -> Result<Option<Uuid>, RecordError> {
    if text.is_empty() { Ok(None) } else { uuid(text, field).map(Some) }
}

impl Wire for ChatMessage {
    type Message = wire::ChatMessage;

    fn to_wire(&self) -> wire::ChatMessage {
        let text = |uuid: Option<Uuid>| uuid.map_or_else(String::new, |uuid| uuid.to_string());
        let kind = match &self.room {
            Room::Group(_) => wire::RoomKind::Group,
            Room::Direct(..) => wire::RoomKind::Direct,
        };
        wire::ChatMessage {
            meta: meta::to_wire(&self.envelope),
            uuid: self.uuid.to_string(),
            room_kind: kind as i32,
            room: self.room.to_string(),
            sender: self.sender.clone(),
            action: action_to_wire(self.action) as i32,
            text: self.text.clone(),
            room_sequence: self.room_sequence,
            reply_to: text(self.reply_to),
            target: text(self.target),
        }
    }

    fn from_wire(message: wire::ChatMessage) -> Result<Self, RecordError> {
        Ok(Self {
            envelope: meta::from_wire(message.meta)?,
            uuid: uuid(&message.uuid, "uuid")?,
            room: room_from_wire(message.room_kind, message.room)?,
            sender: message.sender,
            action: action_from_wire(message.action)?,
            text: message.text,
            room_sequence: message.room_sequence,
            reply_to: maybe_uuid(&message.reply_to, "reply_to")?,
            target: maybe_uuid(&message.target, "target")?,
        })
    }
}
