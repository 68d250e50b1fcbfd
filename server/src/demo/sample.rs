//! The sample data: a small shop.

use crate::command::{CommandError, connect};

/// A query worth trying.
pub(super) const QUERY: &str = "SELECT c.city, count(*) AS orders, sum(i.quantity * p.price) AS turnover \
                                FROM customers c JOIN orders o ON o.customer_id = c.id \
                                JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id \
                                GROUP BY c.city ORDER BY turnover DESC";

const TABLES: &str = "
    CREATE TABLE customers (
        id int PRIMARY KEY, name text NOT NULL, city text NOT NULL, since date NOT NULL
    );
    CREATE TABLE products (
        id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL CHECK (price > 0)
    );
    CREATE TABLE orders (
        id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, placed timestamptz NOT NULL
    ) WITH (shards = 3);
    CREATE TABLE order_items (
        order_id int NOT NULL REFERENCES orders, line int NOT NULL, product_id int NOT NULL REFERENCES products,
        quantity int NOT NULL CHECK (quantity > 0), PRIMARY KEY (order_id, line)
    ) WITH (shards = 3);
    CREATE INDEX ON orders (customer_id)";

const ROWS: [&str; 4] = [
    "INSERT INTO customers SELECT i, 'Customer ' || i,
        (ARRAY['Berlin', 'Lyon', 'Porto', 'Oslo', 'Gdansk', 'Turin'])[1 + i % 6], date '2020-01-01' + i * 2
     FROM generate_series(1, 800) i",
    "INSERT INTO products SELECT i, 'Product ' || i, 1 + i * 37 % 500 + 0.99 FROM generate_series(1, 100) i",
    "INSERT INTO orders SELECT i, 1 + i * 7 % 800, timestamptz '2026-01-01 08:00+00' + i * interval '97 minutes'
     FROM generate_series(1, 2000) i",
    "INSERT INTO order_items SELECT o, l, 1 + (o * 13 + l * 29) % 100, 1 + (o + l) % 4
     FROM generate_series(1, 2000) o, generate_series(1, 2) l",
];

/// Makes the tables and fills them.
pub(super) async fn load(address: &str) -> Result<(), CommandError> {
    let client = connect(address).await?;
    client.batch_execute(TABLES).await?;
    for rows in ROWS {
        client.batch_execute(rows).await?;
    }
    Ok(())
}
