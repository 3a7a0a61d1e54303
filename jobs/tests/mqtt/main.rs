//! The source and the sink `mqtt` against real brokers: Mosquittos of the tests' own, and its
//! `mosquitto_sub` and `mosquitto_pub` as clients that know nothing of ours.

#[cfg(feature = "embedded-broker")]
#[cfg(test)]
mod demo;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod jobs;
#[cfg(test)]
#[expect(dead_code, reason = "other tests do more to it")]
#[path = "../common/mosquitto.rs"]
mod mosquitto;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod source;
#[cfg(test)]
mod transports;
