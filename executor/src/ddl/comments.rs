//! COMMENT ON TABLE and COLUMN.

use planner::plan::QualifiedName;
use proto::SqlResult;
use schema::TableDescriptor;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;

impl Changes<'_> {
    /// Sets a comment; an empty one is none.
    pub(super) fn comment(
        &mut self,
        table: &QualifiedName,
        column: Option<&str>,
        text: Option<String>,
    ) -> SqlResult<()> {
        let Some(table) = self.find_table(table, false)? else { return Ok(()) };
        let text = text.filter(|text| !text.is_empty());
        let mut table = TableDescriptor::clone(&table);
        match column {
            None => table.comment = text,
            Some(name) => {
                let at = self.column_position(&table, name)?;
                table.columns[at].comment = text;
            }
        }
        self.put_table(table)
    }
}
