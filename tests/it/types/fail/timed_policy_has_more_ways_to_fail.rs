//! A call that may run out of time has no error of its operation to give back then.

async fn fetch() -> Result<u32, std::io::Error> {
    Ok(1)
}

async fn fetched() -> Result<u32, std::io::Error> {
    recoup::retry(fetch).deadline(std::time::Duration::from_secs(1)).await
}

fn main() {}
