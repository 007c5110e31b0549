// SPDX-License-Identifier: LGPL-2.1-or-later
// The least that a Node server needs to be a worker: docs/servers.md explains it.
'use strict';
const fs = require('fs');
const http = require('http');

const server = http.createServer((request, response) => {
  const body = `pid=${process.pid}\n`;
  if (!server.listening) // we are asked to stop: this is the last answer on this connection
    response.setHeader('Connection', 'close');
  response.writeHead(200, {'Content-Length': body.length, 'X-Worker-Pid': process.pid});
  response.end(body);
});

process.on('SIGTERM', () => server.close(() => process.exit()));
server.listen({fd: 3}, () => fs.writeSync(4, '\n')); // --ready=fd:4
