//! What holds for every record and every codec: one binary, because linking is slow.

#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod python;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod strategies;
