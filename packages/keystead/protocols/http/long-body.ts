import type { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** Connections on which a body is coming that may take longer than the server gives a request. */
const long = new WeakSet<object>();

/**
 * Lets the body of a request take as long as it keeps coming: for who was admitted, and for what goes to disk piece by
 * piece. A connection on which nothing moves is cut off as every other (bounds.ts).
 */
export function allowLongBody(request: FastifyRequest): void {
  const { socket } = request.raw;
  long.add(socket);
  request.raw.once('close', () => long.delete(socket));
}

/** What Node.js would do with a client that broke HTTP or was too slow, but for bodies that may be long. */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && long.has(socket)) return;
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable) {
    const status =
      (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && '408 Request Timeout') ||
      (error.code === 'HPE_HEADER_OVERFLOW' && '431 Request Header Fields Too Large') ||
      '400 Bad Request';
    socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  }
  socket.destroy(error);
}
