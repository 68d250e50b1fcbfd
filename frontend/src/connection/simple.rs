//! Simple queries.

use std::{pin::pin, sync::Arc};

use executor::{CommandTag, Outcome, Parsed};
use sharddb_executor as executor;

use super::{Connection, End, Stop, wait::watch};
use crate::{metrics::metrics, wire};

impl Connection {
    /// Query: every statement of the string is answered as it completes. Several commit together unless they say
    /// otherwise.
    pub(super) async fn query(&mut self, sql: &str) -> Result<(), End> {
        self.unnamed = None;
        self.portals.remove("");
        match self.run_query(sql).await {
            Ok(()) => {}
            Err(Stop::Connection(end)) => return Err(end),
            Err(Stop::Statement(error)) => {
                self.fail(&error).await;
                // What can be rolled back was rolled back; there is nothing new to say.
                let _ = self.end_implicit(false).await?;
            }
        }
        self.after_statement();
        self.ready().await
    }

    async fn run_query(&mut self, sql: &str) -> Result<(), Stop> {
        let statements = self.session.parse(sql)?;
        let Some((last, others)) = statements.split_last() else {
            self.end_implicit(true).await??;
            wire::empty(&mut self.socket.output, b'I');
            return Ok(());
        };
        for statement in others {
            self.session.begin_implicit();
            self.implicit = true;
            let tag = self.run_parsed(statement).await?;
            self.finish_statement(tag);
            self.after_statement();
        }
        if !others.is_empty() {
            self.session.begin_implicit();
            self.implicit = true;
        }
        let tag = self.run_parsed(last).await?;
        // A commit that fails is the failure of the last statement.
        self.end_implicit(true).await??;
        self.finish_statement(tag);
        Ok(())
    }

    async fn run_parsed(&mut self, statement: &Parsed) -> Result<Option<CommandTag>, Stop> {
        metrics().statements.add(1);
        let prepared = watch(&mut self.socket, &self.control, pin!(self.session.prepare_parsed(statement))).await??;
        let outcome = self.run_prepared(&prepared, Vec::new()).await?;
        self.answer(outcome).await
    }

    /// Runs a statement with its parameters.
    #[inline]
    pub(super) async fn run_prepared(
        &mut self,
        prepared: &Arc<executor::Prepared>,
        parameters: Vec<sharddb_schema::Datum>,
    ) -> Result<Outcome, Stop> {
        Ok(watch(&mut self.socket, &self.control, pin!(self.session.execute(prepared, parameters))).await??)
    }

    fn finish_statement(&mut self, tag: Option<CommandTag>) {
        match tag {
            Some(tag) => self.complete(tag),
            None => wire::empty(&mut self.socket.output, b'I'),
        }
    }

    /// Ends the implicit transaction if there is one.
    pub(super) async fn end_implicit(&mut self, ok: bool) -> Result<Result<(), Stop>, End> {
        if !std::mem::take(&mut self.implicit) {
            return Ok(Ok(()));
        }
        Ok(watch(&mut self.socket, &self.control, pin!(self.session.end_implicit(ok))).await?.map_err(Stop::from))
    }
}
