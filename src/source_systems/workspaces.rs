//! Workspaces: the status of a Business Workspace, an attribute of a category, set as the person who answered.
//!
//! A category is written with the token it was read with; with an old one Content Server refuses, and it is read
//! again. The status is written only where it still is what the person saw.

use reqwest::Method;
use serde_json::Value as Json;

use super::content_server::{Desk, refusal};
use super::http::{Lost, form, part};
use crate::event::write_back::{Ask, Came};

/// How often a category that somebody else writes at the same time is read again.
const MOST_TRIES: usize = 3;

/// The category as it was read.
struct Read {
    value: String,
    /// The field that takes the token, and the token.
    token: Option<(String, String)>,
}

/// Sets the status, or looks how it stands.
pub(super) async fn status(desk: &Desk<'_>, ask: Ask, wanted: &str) -> Result<Came, Came> {
    let incomplete = Came::Dead("write-back-incomplete");
    let answer = desk.answer;
    let node = answer.at("workspace.id").or_else(|| answer.at("node.id")).ok_or(incomplete)?;
    let attribute = answer.at("category_attr").ok_or(incomplete)?;
    let (category, _) = attribute.split_once('_').ok_or(incomplete)?;
    let path = format!("/api/v2/nodes/{}/categories/{}/", part(node), part(category));
    for _ in 0..MOST_TRIES {
        let read = match read(desk, &path, attribute).await? {
            Ok(read) => read,
            Err(refused) => return Ok(refused),
        };
        if read.value == wanted {
            return Ok(Came::Confirmed);
        }
        if answer.at("status_to").is_some_and(|seen| seen != read.value) {
            return Ok(Came::Refused("conflict"));
        }
        if ask == Ask::Look {
            return Ok(Came::Open);
        }
        let mut fields = vec![(attribute, wanted)];
        fields.extend(read.token.as_ref().map(|(field, token)| (field.as_str(), token.as_str())));
        let said = desk.ask(Method::PUT, &path, Some(form(&fields))).await;
        let said = said.map_err(|failed| failed.came(Lost::perhaps))?;
        match said.status {
            200..=299 => return Ok(Came::Confirmed),
            // Written by somebody else meanwhile.
            409 => {}
            _ => return Ok(refusal(&said).unwrap_or_else(|| said.perhaps())),
        }
    }
    Err(Came::TryLater(None, "contended"))
}

async fn read(desk: &Desk<'_>, path: &str, attribute: &str) -> Result<Result<Read, Came>, Came> {
    let said = desk.read(path).await?;
    if !said.is_success() {
        return match refusal(&said) {
            Some(refused) => Ok(Err(refused)),
            None => Err(said.not_now()),
        };
    }
    let said = said.json();
    let category = &said["results"]["data"]["categories"];
    let fields = category.as_object().into_iter().flatten();
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let token = fields
        .filter(|(name, _)| name.ends_with(".metadata_token"))
        .find_map(|(name, value)| Some((name.clone(), text(value)?)));
    Ok(match text(&category[attribute]) {
        Some(value) => Ok(Read { value, token }),
        None => Err(Came::Dead("write-back-incomplete")),
    })
}
