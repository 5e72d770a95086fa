//! Public: a record that Bugle publishes, read by the schema it was published with, as JSON for people.

use apache_avro::reader::datum::GenericDatumReader;
use serde_json::Value as Json;

use super::fault::{Code, Fault};
use super::schemas::{Name, Schemas};
use super::wire::FRAMING;

/// A record's value as JSON.
///
/// # Errors
/// It was not written with this schema.
pub fn show(schemas: &Schemas, name: Name, value: &[u8]) -> Result<Json, Fault> {
    let broken = |why: &str| Fault::new(Code::Truncated, why);
    let mut body = value.get(FRAMING..).ok_or_else(|| broken("it is too short for a schema id"))?;
    let reader = GenericDatumReader::builder(schemas.schema(name)).build();
    let value = reader.and_then(|reader| reader.read_value(&mut body));
    value.and_then(Json::try_from).map_err(|error| broken(&error.to_string()))
}
