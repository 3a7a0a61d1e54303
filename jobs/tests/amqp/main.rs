//! The source and the sink `amqp` against a real RabbitMQ: `TAPEFLOW_TEST_AMQP` says where one is.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod heal;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod letters;
#[cfg(test)]
#[expect(dead_code, reason = "other tests do more to their connections")]
#[path = "../common/link.rs"]
mod link;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod rabbit;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod source;
#[cfg(test)]
mod tls;
