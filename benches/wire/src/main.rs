//! What recoup and its peers do with the same requests over the same scripted server. Prints a table in Markdown.

mod axum_cap;
mod by_reqwest;
mod by_tower;
// The tests' own, which ask more of it.
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../../tests/wire/scripted.rs"]
mod scripted;
mod situation;

use self::situation::Situation;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("| the request, and the server | recoup | reqwest-retry 0.9.1 | tower 0.5.3 `retry` |");
    println!("|---|---|---|---|");
    for situation in Situation::ALL {
        let recoup = situation.play(by_reqwest::recoup).await;
        let retry = situation.play(by_reqwest::reqwest_retry).await;
        let tower = situation.play(by_tower::tower_retry).await;
        println!("| {} | {recoup} | {retry} | {tower} |", situation.text());
    }
    let recoup = axum_cap::recoup().await;
    let tower = axum_cap::tower().await;
    println!(
        "| 16 requests at once to an axum route with a cap of 2 | {recoup} | (no such layer) | {tower} |"
    );
}
