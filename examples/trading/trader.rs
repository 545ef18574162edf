//! A program that trades: it buys when tea is cheap, and says what it and others do.

use futures_util::StreamExt;
use wasabi::client::{Options, RequestError};

use super::client::{Market, MarketEvent, MarketOrderPlaceCode, OrderBody, Price, Trade};

/// What it thinks is cheap, in cents.
const CHEAP: u32 = 300;

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
                Some(Err(RequestError::Lost { reason })) => {
                    println!("lost: {reason}");
                    // It is asked for once there is a connection again.
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
        // It is not sent again: it may have been carried out.
        Err(error) if error.may_have_been_carried_out() => println!("who knows: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
