// A pod's program: says who answers. On SIGTERM it goes on for a while, as endpoints everywhere still name it, and closes each
// connection after its answer.
import http from 'node:http';

const GRACE_MS = 10_000;
let ending = false;

const server = http.createServer((request, response) => {
  const said = { app: process.env.APP, version: process.env.VERSION, pod: process.env.POD, path: request.url };
  if (ending) response.setHeader('connection', 'close');
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ ...said, host: request.headers.host, remote: request.socket.remoteAddress }));
});
// Node would close a connection that was idle for five seconds, perhaps just when a client on a busy machine uses it again.
server.keepAliveTimeout = 600_000;
server.listen(8080);
process.on('SIGTERM', () => {
  ending = true;
  setTimeout(() => process.exit(0), GRACE_MS);
});
