use wasabi::{middleware::http::ClientIp, prelude::*};

async fn echo(message: Message) -> Message {
    message
}

fn main() {
    let _ = gateway!(
        http = [ClientIp::trusting(["10.0.0.0/33", "10.0.0.0/8", "intranet"])],
        channel(
            "/",
            http = [ClientIp::cloudflare(["::ffff:10.0.0.0/8", "::ffff:10.0.0.0/104"])],
            echo,
        ),
    );
}
