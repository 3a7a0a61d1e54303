//! Publishing with confirms: what was not confirmed when a connection was lost is published again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dataflows::component::health::Health;
use dataflows::fault::Fault;
use futures_util::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};

use super::connect::Broker;
use super::link::{Link, Pending, Prepare, gone};
use super::topology::{Exchange, Topology, short};
use crate::runtime;

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its routing key.
    pub key: String,
    /// Content type, headers, id and so on.
    pub properties: BasicProperties,
    /// The bytes.
    pub body: Vec<u8>,
}

/// How messages are published.
#[derive(Debug, Clone)]
pub struct Publishing {
    /// What is declared; it has the exchange.
    pub topology: Topology,
    /// Where they go.
    pub exchange: Exchange,
    /// Whether the broker says that it has a message.
    pub confirm: bool,
    /// So many messages may be unconfirmed.
    pub window: usize,
    /// Whether a message that no queue takes comes back, which ends the run.
    pub mandatory: bool,
}

/// A publisher that comes back by itself.
#[derive(Debug)]
pub struct Outgoing {
    link: Link<Channel>,
    publishing: Publishing,
    /// Messages that were published again.
    repeated: u64,
}

type Sent<'a> = (usize, Pending<'a, lapin::Result<Confirmation>>);

/// How long one look at the broker takes at most before the stop is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Outgoing {
    /// Not connected yet.
    pub fn new(broker: Broker, publishing: Publishing) -> Self {
        let (topology, confirm) = (Arc::new(publishing.topology.clone()), publishing.confirm);
        let prepare: Prepare<Channel> = Arc::new(move |channel| {
            let topology = topology.clone();
            Box::pin(async move {
                topology.declare(&channel).await?;
                if confirm {
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                }
                Ok(channel)
            })
        });
        Self { link: Link::new(broker, prepare, 0), publishing, repeated: 0 }
    }

    /// Says there how the connection stands; see [`Link::report_to`].
    pub fn report_to(&mut self, health: Arc<Health>) {
        self.link.report_to(health);
    }

    /// Tries once to connect; see [`Link::try_once`].
    ///
    /// # Errors
    /// When the broker refuses us.
    pub fn try_once(&mut self) -> Result<(), Fault> {
        self.link.try_once()
    }

    /// How many messages were published more than once, since nobody knew of them.
    pub const fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Publishes messages in their order, and gives back when the broker has them all (without
    /// confirms: when they are on their way). `gives_up` is asked at least every 100 ms.
    ///
    /// # Errors
    /// When the broker refuses us or a message, and [`Fault::Interrupted`] when it gives up.
    pub fn publish(
        &mut self,
        messages: &[Message],
        gives_up: &mut dyn FnMut() -> bool,
    ) -> Result<(), Fault> {
        let mut waiting: VecDeque<usize> = (0..messages.len()).collect();
        while !waiting.is_empty() {
            if gives_up() {
                return Err(Fault::Interrupted);
            }
            let Some(channel) = self.link.up(LOOK)? else { continue };
            let channel = channel.clone();
            let mut round = Round {
                channel: &channel,
                publishing: &self.publishing,
                messages,
                waiting: &mut waiting,
                sent: VecDeque::new(),
                was_refused: false,
            };
            let outcome = runtime::wait(round.run(gives_up))?;
            let was_refused = round.was_refused;
            let repeated = round.give_back();
            match outcome {
                Ok(Some(fault)) => return Err(fault),
                Ok(None) if was_refused => {
                    self.repeated += repeated as u64;
                    self.link.lost(&gone("the broker has refused a message (nack)"))?;
                }
                Ok(None) => self.link.works(),
                Err(error) => {
                    self.repeated += repeated as u64;
                    self.link.lost(&error)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the connection in good order.
    pub fn close(&mut self) {
        self.link.close();
    }
}

/// Publishing on one connection, as far as it goes.
struct Round<'a> {
    channel: &'a Channel,
    publishing: &'a Publishing,
    messages: &'a [Message],
    /// Not sent yet, by number.
    waiting: &'a mut VecDeque<usize>,
    /// Sent and not confirmed yet, in that order.
    sent: VecDeque<Sent<'a>>,
    was_refused: bool,
}

impl<'a> Round<'a> {
    /// Ends when all is confirmed, or with what has gone wrong; what is not known to have arrived
    /// stays in `sent`.
    async fn run(&mut self, gives_up: &mut dyn FnMut() -> bool) -> lapin::Result<Option<Fault>> {
        loop {
            while self.sent.len() < self.publishing.window
                && let Some(number) = self.waiting.pop_front()
            {
                let mut sending = self.send(number);
                // The first look is what hands the frames over, in this order.
                match (&mut sending).now_or_never() {
                    None => self.sent.push_back((number, sending)),
                    Some(outcome) => {
                        // Not among those sent: it is put back if it failed.
                        if outcome.is_err() {
                            self.waiting.push_front(number);
                        }
                        if let Some(fault) = self.confirmed(number, outcome?) {
                            return Ok(Some(fault));
                        }
                    }
                }
            }
            let Some((number, oldest)) = self.sent.front_mut() else { return Ok(None) };
            let number = *number;
            let Ok(outcome) = tokio::time::timeout(LOOK, oldest).await else {
                if gives_up() {
                    return Ok(Some(Fault::Interrupted));
                }
                continue;
            };
            // Done, one way or the other: it may not be looked at again.
            self.sent.pop_front();
            let outcome = outcome.inspect_err(|_| self.waiting.push_front(number))?;
            if let Some(fault) = self.confirmed(number, outcome) {
                return Ok(Some(fault));
            }
            if self.was_refused {
                return Ok(None);
            }
        }
    }

    fn send(&self, number: usize) -> Pending<'a, lapin::Result<Confirmation>> {
        let Some(message) = self.messages.get(number) else {
            return Box::pin(std::future::ready(Ok(Confirmation::NotRequested)));
        };
        let (channel, publishing) = (self.channel, self.publishing);
        Box::pin(async move {
            let options = BasicPublishOptions { mandatory: publishing.mandatory, immediate: false };
            let (exchange, key) = (short(&publishing.exchange.name), short(&message.key));
            let properties = message.properties.clone();
            channel.basic_publish(exchange, key, options, &message.body, properties).await?.await
        })
    }

    /// Takes a confirmation; gives a fault for a message that nobody wanted.
    fn confirmed(&mut self, number: usize, confirmation: Confirmation) -> Option<Fault> {
        match confirmation {
            Confirmation::Nack(_) => {
                self.was_refused = true;
                self.waiting.push_front(number);
                None
            }
            Confirmation::Ack(Some(_)) => {
                let key = self.messages.get(number).map_or("", |message| message.key.as_str());
                Some(Fault::stop(
                    format!("exchange `{}`", self.publishing.exchange.name),
                    format!(
                        "no queue is bound for the key `{key}`; bind one, or say `mandatory: false` \
                         if such messages may be dropped"
                    ),
                ))
            }
            Confirmation::Ack(None) | Confirmation::NotRequested => None,
        }
    }

    /// What is not known to have arrived is to be sent again, before all else and in its order;
    /// tells how many that are.
    fn give_back(self) -> usize {
        let before = self.waiting.len();
        for (number, sending) in self.sent {
            let is_known = matches!(sending.now_or_never(), Some(Ok(Confirmation::Ack(None))));
            if !is_known {
                self.waiting.push_front(number);
            }
        }
        self.waiting.make_contiguous().sort_unstable();
        self.waiting.len() - before
    }
}
