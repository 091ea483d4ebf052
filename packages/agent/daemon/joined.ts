import type { Socket } from 'node:net';

/** How long a connection of which one side has ended goes on without a byte, milliseconds. */
const HALF_OPEN_MS = 300_000;
/** After so long without a byte the peer's machine is asked whether it is still there, milliseconds. */
const SILENT_MS = 60_000;

/**
 * Makes one connection of two sockets, each of which may be half open (`allowHalfOpen`). An end is passed on when all that
 * came before it has been: a slow reader gets the whole answer. A side that breaks off takes the other along.
 * @param halfOpenMs how long it goes on in silence when one side has ended: an application that is gone ends just as one
 *   that still waits for an answer does, and its place would never be free.
 */
export function joinSockets(local: Socket, remote: Socket, halfOpenMs = HALF_OPEN_MS): void {
  // One of them ended while the other came: nothing would tell of it any more.
  if (local.destroyed || remote.destroyed) {
    local.destroy();
    remote.destroy();
    return;
  }
  // Who loses power or network says nothing, and would hold a place for ever.
  remote.setKeepAlive(true, SILENT_MS);
  for (const [from, to] of [
    [local, remote],
    [remote, local],
  ] as const) {
    from.pipe(to);
    const ended = (): unknown => to.setTimeout(halfOpenMs, () => to.destroy());
    // A peer may have said all it has to say before there was anybody to say it to.
    if (from.readableEnded) ended();
    else from.once('end', ended);
    from.once('close', () => {
      if (from.readableEnded) flush(to);
      else to.destroy();
    });
  }
}

/** Lets what was written to a socket leave, and its end; nobody is there any more for what it has to say. */
function flush(socket: Socket): void {
  if (socket.writableFinished) {
    socket.destroy();
    return;
  }
  socket.resume();
  socket.once('finish', () => socket.destroy());
}
