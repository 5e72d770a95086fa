//! Phones: the settings of the push accounts become the client, and what each account takes.

use std::sync::Arc;

use super::keys;
use crate::app::Unready;
use crate::app::config::{self, AccountSettings, Config};
use crate::event::Span;
use crate::flow::accounts::{Accounts, Holds, Terms};
use crate::push::client::Patience;
use crate::push::signature::Secret;
use crate::push::transport::Transport;
use crate::push::webhook::{self, Form};
use crate::push::{Account, Client, Credentials};

/// The push service's client.
///
/// # Errors
/// [`Unready::Push`] or [`Unready::SigningKey`].
pub fn push(config: &Config) -> Result<Arc<Client>, Unready> {
    let account = |(name, settings): (&str, AccountSettings)| {
        Ok(Account {
            name: name.to_owned(),
            transport: transport(name, &settings)?,
            base_url: settings.url.clone(),
            credentials: credentials(&settings),
        })
    };
    let accounts = config.push.each().into_iter().map(account).collect::<Result<Vec<_>, Unready>>()?;
    let patience = Patience { total: config.push.timeout.to_duration(), ..Patience::default() };
    Ok(Arc::new(Client::new(accounts, keys(config)?, patience)?))
}

fn transport(account: &str, settings: &AccountSettings) -> Result<Transport, Unready> {
    Ok(match settings.transport {
        config::Transport::Mra => Transport::Mra,
        config::Transport::Appworks => Transport::AppWorks {
            app: settings.app.clone().unwrap_or_default(),
            key: settings.app_key.clone().unwrap_or_default(),
        },
        config::Transport::Webhook => {
            let (file, text) = match &settings.body {
                Some(file) => {
                    let text = std::fs::read_to_string(file);
                    (file.display().to_string(), text.map_err(|error| error.to_string()))
                }
                None => ("the form built in".to_owned(), Ok(webhook::USUAL_FORM.to_owned())),
            };
            let form = text.and_then(|text| Form::read(&text).map_err(|error| error.to_string()));
            let account = account.to_owned();
            let form = form.map_err(|fault| Unready::Form { account, file, fault })?;
            let secrets = settings.webhook_secrets.iter().map(Secret::read).collect::<Result<_, _>>()?;
            Transport::Webhook { form: Box::new(form), secrets }
        }
    })
}

fn credentials(settings: &AccountSettings) -> Credentials {
    match (&settings.token_url, &settings.client_id, &settings.client_secret) {
        (Some(token_url), Some(client_id), Some(client_secret)) => Credentials::Bearer {
            token_url: token_url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
        },
        _ => match settings.username.clone().zip(settings.password.clone()) {
            Some((user, password)) => Credentials::Basic { user, password },
            None => Credentials::None,
        },
    }
}

/// Who is told by which account, and what each takes.
pub(super) fn accounts(config: &Config) -> Accounts {
    let mut accounts = Accounts::one(&config.push.account);
    for (name, settings) in config.push.each() {
        let holds = match settings.transport {
            config::Transport::Appworks => Holds::OneText,
            config::Transport::Mra | config::Transport::Webhook => Holds::Differing,
        };
        let (in_flight, rate) = (config.push.in_flight, settings.rate);
        let tells_jobs = settings.transport == config::Transport::Mra;
        let follow_after = Some(config.push.follow_after).filter(|after| tells_jobs && *after > Span::ZERO);
        accounts = accounts.with_terms(name, Terms { holds, in_flight, rate, tells_jobs, follow_after });
    }
    for (tenant, own) in &config.tenants.each {
        if let Some(account) = &own.account {
            accounts = accounts.with_tenant(tenant, account);
        }
    }
    accounts
}
