// SPDX-License-Identifier: LGPL-2.1-or-later

// A thread a connection on fd 3, standard library only, ready when it has said so, and ended in order by SIGTERM.
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{env, process, thread, time::Duration};

static STOPPING: AtomicBool = AtomicBool::new(false);
static OPEN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn stop(_: i32) {
    STOPPING.store(true, Ordering::SeqCst);
}

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

// One request a connection.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = lines.next() {
        if line?.is_empty() {
            break;
        }
    }
    let pid = process::id();
    let body = format!("pid={pid}\n");
    write!(stream, "HTTP/1.1 200 OK\r\nX-Worker-Pid: {pid}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn main() {
    unsafe { signal(15, stop) };
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    listener.set_nonblocking(true).unwrap();
    if let (Ok(path), Ok(socket)) = (env::var("NOTIFY_SOCKET"), UnixDatagram::unbound()) {
        let _ = socket.send_to(b"READY=1", path);
    }
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                OPEN.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let _ = serve(stream);
                    OPEN.fetch_sub(1, Ordering::SeqCst);
                });
            }
            // Nobody is left in the queue.
            Err(_) if STOPPING.load(Ordering::SeqCst) => break,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    while OPEN.load(Ordering::SeqCst) > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
