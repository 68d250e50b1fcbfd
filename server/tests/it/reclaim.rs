//! Rows of dropped tables go once no snapshot sees them.

use sharddb_executor::{Engine, EngineOptions};
use sharddb_frontend::{AuthMode, Options, Server};
use sharddb_storage::Cf;
use tokio_postgres::{Client, NoTls};

use crate::transactions::Fixture;

async fn connect(server: &Server) -> Client {
    let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.local_addr().port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_dropped_tables_are_removed() {
    let fixture = Fixture::new().await;
    let volume = &fixture.volume;
    let engine = Engine::open(volume.client().clone(), volume.fragments(), EngineOptions::default())
        .await
        .expect("the catalog opens");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let options = Options { max_connections: 4, auth: AuthMode::Auto, tls: None };
    let server = Server::start(engine.clone(), listener, options).expect("the server starts");
    let client = connect(&server).await;
    client
        .batch_execute(
            "CREATE TABLE gone (k int PRIMARY KEY); CREATE TABLE emptied (k int PRIMARY KEY) WITH (shards = 4);
             INSERT INTO gone SELECT generate_series(1, 500); INSERT INTO emptied SELECT generate_series(1, 500);",
        )
        .await
        .expect("tables with rows");
    let before = volume.client().timestamp().await.expect("a timestamp");
    client.batch_execute("DROP TABLE gone; TRUNCATE emptied; INSERT INTO emptied VALUES (7)").await.expect("they go");
    let versions = || fixture.engine.contents(Cf::Data).len();
    assert_eq!(engine.reclaim(before).await.expect("nothing is old enough"), 0);
    let full = versions();

    let after = volume.client().timestamp().await.expect("a timestamp");
    assert_eq!(engine.reclaim(after).await.expect("both are"), 2);
    assert!(versions() <= full - 900, "{} of {full} versions are left", versions());
    assert_eq!(engine.reclaim(after).await.expect("the notes are gone"), 0);
    let rows = client.query("SELECT k FROM emptied", &[]).await.expect("the table is there");
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [7]);
}
