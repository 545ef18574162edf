//! A program that trades: it buys when tea is cheap, and says what it and others do.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::sleep;
use wasabi::client::{Options, RequestError};

use super::client::{
    Market, MarketEvent, MarketOrderPlaceCode, MarketPricesCode, OrderBody, Price, Trade,
};

/// What it thinks is cheap, in cents.
const CHEAP: u32 = 300;

/// How long it leaves a market alone that closes its connections, as before a restart.
const PAUSE: Duration = Duration::from_millis(500);

/// Trades until the market closes for good.
pub(crate) async fn trade(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let market = Market::connect(url, Options::new())?;
    let mut trades = market.events();
    let mut prices = market.prices();
    loop {
        tokio::select! {
            price = prices.next() => match price {
                Some(Ok(Price { cents, .. })) if cents <= CHEAP => buy(&market).await?,
                Some(Ok(_)) => {}
                Some(Err(error)) if ends_with_connection(&error) => {
                    println!("no prices: {error}");
                    sleep(PAUSE).await;
                    // They are asked for once there is a connection again.
                    prices = market.prices();
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            trade = trades.next() => match trade {
                Some(MarketEvent::Trade(Trade { count, cents })) => println!("somebody got {count} at {cents}"),
                Some(MarketEvent::Other(other)) => println!("unexpected: {other:?}"),
                None => return Ok(()),
            },
        }
    }
}

/// Whether a stream has ended with its connection, and can be asked for again on the next.
fn ends_with_connection(error: &RequestError<MarketPricesCode>) -> bool {
    matches!(
        error,
        RequestError::Lost { .. }
            | RequestError::Gateway {
                code: MarketPricesCode::Interrupted | MarketPricesCode::Closing,
                ..
            }
    )
}

async fn buy(market: &Market) -> Result<(), Box<dyn std::error::Error>> {
    let order = OrderBody {
        count: 5,
        limit: CHEAP,
    };
    match market.order_place(&order).await {
        Ok(receipt) => println!("bought {} for {}", receipt.count, receipt.paid),
        Err(RequestError::Gateway {
            code: MarketOrderPlaceCode::TooDear,
            message,
            ..
        }) => println!("too late: {message}"),
        Err(
            error @ (RequestError::Gateway {
                code: MarketOrderPlaceCode::Closing,
                ..
            }
            | RequestError::TimedOut {
                was_sent: false, ..
            }),
        ) => println!("not now: {error}"),
        // It is not sent again: it may have been carried out.
        Err(error) if error.may_have_been_carried_out() => println!("who knows: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
