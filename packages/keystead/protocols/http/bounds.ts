import type { Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';

/** So many connections at once; what comes beyond is hung up on, and the files and memory of the rest are safe. */
const MOST_CONNECTIONS = 4096;
/** A connection on which nothing moves for so long, for its client does not read its answer, is cut off. */
const STANDSTILL_MS = 60_000;

/** Bounds what strangers can hold of a server by opening connections and leaving them. */
export function boundConnections(server: Server | TlsServer): void {
  server.maxConnections = MOST_CONNECTIONS;
  server.setTimeout(STANDSTILL_MS);
}
