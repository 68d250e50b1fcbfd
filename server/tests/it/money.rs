//! Money between accounts on eight shards, while the server is killed again and again.
//!
//! Every transfer changes two accounts and writes a row of its own, in one transaction. Whatever the moment of the kill:
//! the sum of all accounts is the same in every snapshot, each transfer that was acknowledged is there, and nothing of a
//! dead transaction stays behind.
//!
//! `SHARDDB_TEST_KILLS` and `SHARDDB_TEST_CLIENTS` make the test longer than the one everybody runs.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio_postgres::{Client, NoTls};

use crate::{
    http,
    process::{Process, directory},
};

const ACCOUNTS: i32 = 200;
const BALANCE: i64 = 1000;
/// How long a dead transaction may leave something behind.
const CLEAN_WITHIN: Duration = Duration::from_secs(60);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn connect(address: SocketAddr) -> Result<Client, tokio_postgres::Error> {
    let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", address.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn create(client: &Client) {
    client
        .batch_execute(
            "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL) WITH (shards = 8);
             CREATE TABLE transfers (id bigint PRIMARY KEY, amount bigint NOT NULL) WITH (shards = 8);",
        )
        .await
        .expect("the tables are made");
    let fill = "INSERT INTO accounts SELECT n, $1::bigint FROM generate_series(1, $2::int) AS n";
    client.execute(fill, &[&BALANCE, &ACCOUNTS]).await.expect("the accounts are filled");
}

/// One transfer; the answer to COMMIT is its acknowledgement.
async fn transfer(client: &mut Client, id: i64) -> Result<(), tokio_postgres::Error> {
    let (from, to) = (rand::random_range(1..=ACCOUNTS), rand::random_range(1..=ACCOUNTS));
    let amount = rand::random_range(1..=10i64);
    let txn = client.transaction().await?;
    let update = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
    txn.execute(update, &[&-amount, &from]).await?;
    txn.execute(update, &[&amount, &to]).await?;
    txn.execute("INSERT INTO transfers VALUES ($1, $2)", &[&id, &amount]).await?;
    txn.commit().await
}

/// Transfers until the server is gone; answers the acknowledged ones.
async fn client(address: SocketAddr, ids: Arc<AtomicI64>) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = connect(address).await else { return acknowledged };
    while !client.is_closed() {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        match transfer(&mut client, id).await {
            Ok(()) => acknowledged.push(id),
            // Deadlocks and conflicts are part of it.
            Err(error) if error.code().is_some() => {}
            Err(_) => break,
        }
    }
    acknowledged
}

async fn sum(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let row = client.query_one("SELECT sum(balance)::bigint FROM accounts", &[]).await?;
    Ok(row.get(0))
}

/// Looks at the sum until the server is gone; answers how often it did.
async fn auditor(address: SocketAddr) -> usize {
    let Ok(client) = connect(address).await else { return 0 };
    let mut looks = 0;
    while let Ok(sum) = sum(&client).await {
        assert_eq!(sum, i64::from(ACCOUNTS) * BALANCE, "every snapshot holds all the money");
        looks += 1;
    }
    looks
}

async fn missing(client: &Client, acknowledged: &[i64]) -> Vec<i64> {
    let rows = client.query("SELECT id FROM transfers", &[]).await.expect("the transfers can be read");
    let found: std::collections::HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    acknowledged.iter().copied().filter(|id| !found.contains(id)).collect()
}

/// Intents and locked keys.
async fn left_behind(address: SocketAddr) -> u64 {
    let (_, text) =
        tokio::task::spawn_blocking(move || http::get(address, "/metrics")).await.expect("metrics are told");
    let metric = |name: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name)).expect("the metric is there");
        line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number")
    };
    metric("sharddb_intents") + metric("sharddb_locked_keys")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_kills() {
    let (kills, clients) = (setting("SHARDDB_TEST_KILLS", 3), setting("SHARDDB_TEST_CLIENTS", 8));
    let directory = directory();
    let mut process = Process::start_with(Arc::clone(&directory), &[]);
    create(&connect(process.sql).await.expect("a connection")).await;
    let ids = Arc::new(AtomicI64::new(0));
    let mut acknowledged = Vec::new();
    for round in 0..kills {
        let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client(process.sql, Arc::clone(&ids)))).collect();
        let audit = tokio::spawn(auditor(process.sql));
        let pause = rand::random_range(300..1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        process.signal("KILL");
        process.wait();
        for task in tasks {
            acknowledged.extend(task.await.expect("a client does not panic"));
        }
        audit.await.expect("the sum never changes");
        process = Process::start_with(Arc::clone(&directory), &[]);
        let client = connect(process.sql).await.expect("a connection after the restart");
        assert_eq!(sum(&client).await.expect("the sum"), i64::from(ACCOUNTS) * BALANCE, "after kill {round}");
        assert_eq!(
            missing(&client, &acknowledged).await,
            Vec::<i64>::new(),
            "acknowledged transfers after kill {round}"
        );
    }
    assert!(!acknowledged.is_empty(), "some transfers were acknowledged");
    let begun = tokio::time::Instant::now();
    while left_behind(process.http).await > 0 {
        assert!(begun.elapsed() < CLEAN_WITHIN, "intents or locks of dead transactions stay behind");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
