use wasabi::prelude::*;

mod orders {
    use wasabi::prelude::*;

    pub fn routes() -> impl Routes {
        routes!(match key {
            "orders.cancel" => async || "cancelled",
            "orders.place" => async || "placed",
        })
    }
}

mod market {
    use wasabi::prelude::*;

    const PLACE: &str = "orders.place";

    pub fn routes() -> impl Routes {
        routes!(match key {
            "quote" => async || "1.25",
            PLACE => async || "placed",
        })
    }
}

fn main() {
    let _ = gateway!(channel(
        "/",
        routes = [orders::routes(), market::routes()],
        match key {
            "ping" => async || "pong",
            "quote" => async || "1.26",
            _ => NoRoute,
        },
    ));
}
