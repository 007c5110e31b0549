// SPDX-License-Identifier: LGPL-2.1-or-later
// A Node server on fd 3. On TERM it answers what it has accepted and leaves; ready when it has written a line to
// READY_FD, where that is set.
'use strict';
const fs = require('fs');
const http = require('http');

let stopping = false;
const answered = new Map(); // connection -> whether it has had an answer and is idle now

const server = http.createServer((request, response) => {
  const body = `pid=${process.pid}\n`;
  answered.set(request.socket, false);
  response.on('finish', () => {
    answered.set(request.socket, true);
    if (stopping)
      request.socket.end();
  });
  if (stopping)
    response.setHeader('Connection', 'close');
  response.writeHead(200, {'Content-Length': body.length, 'X-Worker-Pid': process.pid});
  response.end(body);
});

server.on('connection', (socket) => {
  answered.set(socket, false);
  socket.on('close', () => answered.delete(socket));
});

process.on('SIGTERM', () => {
  stopping = true;
  // Not server.close(): it closes connections that have not had their first answer.
  server.closeIdleConnections = () => {};
  server.close(() => process.exit(0));
  for (const [socket, idle] of answered)
    if (idle)
      socket.end();
});

server.listen({fd: 3}, () => {
  if (process.env.READY_FD) {
    fs.writeSync(Number(process.env.READY_FD), '\n');
    fs.closeSync(Number(process.env.READY_FD));
  }
});
