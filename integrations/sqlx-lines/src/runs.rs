//! How a database runs something.

/// The methods of a line's `Driver` that hand on to sqlx, which read the same for every database.
#[macro_export]
macro_rules! runs {
    (
        // As for `executors!`, and what the line makes of a query on the way.
        text: $text:ty,
        lifetime: [$($lifetime:tt)*],
        statement: [$($of:tt)*],
        query: [$($query:tt)*]
    ) => {
        fn fetch_many<'e $($lifetime)*>(
            runner: Runner<'e, Self>,
            query: $($query)*,
        ) -> BoxStream<'e, Step<Self>> {
            match runner {
                // What sqlx does for a pool, in two steps of ours.
                Runner::Pool(pool, target) if acquires_are_traced() => {
                    Box::pin(TryAsyncStream::new(move |yielder| async move {
                        let mut connection = acquire(pool, target).await?;
                        let mut steps = (*connection).fetch_many(query);
                        while let Some(step) = next::<Self>(&mut steps).await? {
                            yielder.r#yield(step).await;
                        }
                        Ok(())
                    }))
                }
                Runner::Pool(pool, _) => (&pool).fetch_many(query),
                Runner::Connection(connection) => connection.fetch_many(query),
            }
        }

        fn fetch_optional<'e $($lifetime)*>(
            runner: Runner<'e, Self>,
            query: $($query)*,
        ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>> {
            match runner {
                Runner::Pool(pool, target) if acquires_are_traced() => Box::pin(async move {
                    let mut connection = acquire(pool, target).await?;
                    (*connection).fetch_optional(query).await
                }),
                Runner::Pool(pool, _) => (&pool).fetch_optional(query),
                Runner::Connection(connection) => connection.fetch_optional(query),
            }
        }

        fn prepare_with<'e $($lifetime)*>(
            runner: Runner<'e, Self>,
            sql: $text,
            parameters: &'e [Self::TypeInfo],
        ) -> BoxFuture<'e, Result<Self::Statement $($of)*, Error>> {
            match runner {
                Runner::Pool(pool, _) => (&pool).prepare_with(sql, parameters),
                Runner::Connection(connection) => connection.prepare_with(sql, parameters),
            }
        }

        fn describe<'e $($lifetime)*>(
            runner: Runner<'e, Self>,
            sql: $text,
        ) -> BoxFuture<'e, Result<Describe<Self>, Error>> {
            match runner {
                Runner::Pool(pool, _) => (&pool).describe(sql),
                Runner::Connection(connection) => connection.describe(sql),
            }
        }
    };
}
