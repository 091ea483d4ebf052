import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The limit of an answer over HTTP: node:http with nothing behind it. Any request gets the same 256 bytes; the body
// of a POST is read to its end first. Says its port on standard output; ends with its standard input.
const BODY = 'x'.repeat(256);
const HEAD = ['Content-Type', 'application/octet-stream', 'Content-Length', String(BODY.length)];

const server = createServer((request, response) => {
  const answer = (): void => {
    response.writeHead(200, HEAD);
    response.end(BODY, 'latin1');
  };
  if (request.method === 'GET') return answer();
  request.on('data', () => {});
  request.on('end', answer);
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
