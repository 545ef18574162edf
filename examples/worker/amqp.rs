//! A RabbitMQ worker that uses only an AMQP client library.

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};

use super::{Answer, Error};

/// Answers requests until the connection breaks.
pub(crate) async fn serve(url: &str, queue: &str, answer: Answer) -> Result<(), Error> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions::default();
    channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await?;
    channel.basic_qos(64, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut requests = channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?;
    while let Some(request) = requests.next().await {
        let request = request?;
        let reply = answer(&request.data);
        if let Some(reply_to) = request.properties.reply_to() {
            let mut properties = BasicProperties::default();
            if let Some(id) = request.properties.correlation_id() {
                properties = properties.with_correlation_id(id.clone());
            }
            if let Some(kind) = request.properties.kind() {
                properties = properties.with_type(kind.clone());
            }
            let options = BasicPublishOptions::default();
            channel
                .basic_publish("".into(), reply_to.clone(), options, &reply, properties)
                .await?;
        }
        request.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
