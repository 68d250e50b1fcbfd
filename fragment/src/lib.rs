//! What planner-side and shard-side execution share: the wire form of fragments and PostgreSQL's functions as DataFusion functions.
