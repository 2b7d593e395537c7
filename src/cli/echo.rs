//! The quickstart's upstream: an ordinary HTTP server that knows nothing of tokens and answers with what it was told.

use anyhow::Context as _;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Serves on `address` from threads of its own, until the process ends.
pub(super) fn start(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("can't start the echo upstream on {address}"))?;
    std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that breaks off ends its own thread; the server goes on.
            let _ = std::thread::Builder::new().name("echo-client".to_owned()).spawn(move || serve(&stream));
        }
    })?;
    Ok(())
}

fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request_line = String::new();
        if reader.read_line(&mut request_line)? == 0 {
            return Ok(());
        }
        let (mut headers, mut length) = (serde_json::Map::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
            headers.insert(name.to_owned(), json!(value.trim()));
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        let body = format!("{:#}\n", json!({ "request": request_line.trim_end(), "headers": headers }));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        let mut writer = stream;
        write!(writer, "{head}: {}\r\n\r\n{body}", body.len())?;
    }
}
