//! A database that goes away.

use super::World;

impl World {
    /// Lets nobody into the test's database any more, and throws out who is in it.
    pub(crate) async fn cut_off(&self) {
        let name = sqlx::query_scalar!(r#"SELECT current_database() AS "name!""#)
            .fetch_one(&self.pool)
            .await
            .unwrap();
        let server = self
            .pool
            .connect_options()
            .as_ref()
            .clone()
            .database("postgres");
        let server = sqlx::PgPool::connect_with(server).await.unwrap();
        let close = format!(r#"ALTER DATABASE "{name}" ALLOW_CONNECTIONS false"#);
        sqlx::raw_sql(sqlx::AssertSqlSafe(close))
            .execute(&server)
            .await
            .unwrap();
        sqlx::query!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            name
        )
        .fetch_all(&server)
        .await
        .unwrap();
    }
}
