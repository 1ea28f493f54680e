//! The table that the service reads.

use crate::POSTGRES;
use crate::load::ORDERS;
use std::env;
use tokio_postgres::NoTls;

/// Makes it, filled.
pub(crate) fn prepare() {
    execute(&format!(
        "DROP TABLE IF EXISTS ddtrace_bench_orders;
         CREATE TABLE ddtrace_bench_orders (id bigint PRIMARY KEY, customer text NOT NULL, cents bigint NOT NULL, items text NOT NULL);
         INSERT INTO ddtrace_bench_orders
             SELECT n, 'customer ' || n % 100, n * 17, 'cup, saucer, ' || n || ' spoons' FROM generate_series(0, {ORDERS} - 1) AS n;
         ANALYZE ddtrace_bench_orders"
    ));
}

/// Takes it away again.
pub(crate) fn clean_up() {
    execute("DROP TABLE ddtrace_bench_orders");
}

fn execute(statements: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let url = env::var(POSTGRES).expect("it is there");
        let connected = tokio_postgres::connect(&url, NoTls).await;
        let (client, connection) = connected.expect("PostgreSQL is there");
        tokio::spawn(connection);
        let done = client.batch_execute(statements).await;
        done.expect("the statements run");
    });
}
