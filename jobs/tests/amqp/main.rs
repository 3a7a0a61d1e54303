//! The source and the sink `amqp` against a real RabbitMQ: `TAPEFLOW_TEST_AMQP` says where one is.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod rabbit;
