//! Names of the things a pipeline is made of, as plans, findings and the journal print them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One resource of a pipeline. Ordering is the order in which a plan creates: table, stream, mapping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceId {
    /// A DynamoDB table, by name.
    Table(String),
    /// A global secondary index: table name, index name.
    Index(String, String),
    /// A Kinesis data stream, by name.
    Stream(String),
    /// A registered enhanced fan-out consumer: stream name, consumer name.
    FanOutConsumer(String, String),
    /// The event source mapping of a consumer, by the consumer's name in the spec.
    Mapping(String),
    /// A Lambda function, by name.
    Function(String),
}

impl ResourceId {
    /// A table, or one of its indexes.
    pub fn sink(table: &str, index: Option<&str>) -> Self {
        match index {
            None => Self::Table(table.to_owned()),
            Some(index) => Self::Index(table.to_owned(), index.to_owned()),
        }
    }

    /// The table or index of this printed name; `None`: it is of another kind.
    pub fn printed_sink(name: &str) -> Option<Self> {
        let name = name.strip_prefix("table/")?;
        let (table, index) = name.split_once("/index/").map_or((name, None), |(table, index)| (table, Some(index)));
        Some(Self::sink(table, index))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "table/{name}"),
            Self::Index(table, name) => write!(f, "table/{table}/index/{name}"),
            Self::Stream(name) => write!(f, "stream/{name}"),
            Self::FanOutConsumer(stream, name) => write!(f, "stream/{stream}/consumer/{name}"),
            Self::Mapping(consumer) => write!(f, "mapping/{consumer}"),
            Self::Function(name) => write!(f, "function/{name}"),
        }
    }
}
