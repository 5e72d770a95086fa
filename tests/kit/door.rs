//! Door: stands before the registry and answers for some schema ids what a registry on a bad day would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is said for one schema id.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) id: u32,
    pub(crate) status: u16,
    pub(crate) body: String,
    /// How often, before the registry itself is asked; `None` for always.
    pub(crate) times: Option<u32>,
}

/// Opens a door before the kit's registry: its base URL.
pub(crate) fn open(said: Vec<Said>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let said = Arc::new(Mutex::new(said));
    let registry = super::registry().trim_start_matches("http://").to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (said, registry) = (Arc::clone(&said), registry.clone());
            // Who hangs up halfway is not the door's business.
            thread::spawn(move || drop(serve(stream, &said, &registry)));
        }
    });
    url
}

fn serve(mut stream: TcpStream, said: &Mutex<Vec<Said>>, registry: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name == "content-length" {
            length = line.split(':').nth(1).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        }
        if !["host", "connection", "accept-encoding"].contains(&name.as_str()) {
            headers.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if let Some((status, text)) = own_answer(&first, said) {
        return write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
    }
    let (host, base) = registry.split_once('/').unwrap_or((registry, ""));
    let first = first.replacen(" /", &format!(" /{base}/"), 1);
    let mut behind = TcpStream::connect(host)?;
    write!(behind, "{first}host: {host}\r\nconnection: close\r\n{headers}\r\n")?;
    behind.write_all(&body)?;
    std::io::copy(&mut behind, &mut stream).map(drop)
}

fn own_answer(first: &str, said: &Mutex<Vec<Said>>) -> Option<(u16, String)> {
    let path = first.split(' ').nth(1)?;
    let id: u32 = path.strip_prefix("/schemas/ids/")?.split('?').next()?.parse().ok()?;
    let mut said = said.lock().expect("nobody panics with it");
    let one = said.iter_mut().find(|said| said.id == id && said.times != Some(0))?;
    one.times = one.times.map(|times| times - 1);
    Some((one.status, one.body.clone()))
}
