import { greetPeer } from 'keystead/keyd/handshake.ts';
import { AnswerSchema } from 'keystead/keyd/protocol.ts';
import type { Siege } from './siege.ts';

/** Three authentic frames of one conversation, in order, as bytes that an attacker may send as he likes. */
export interface Frames {
  /** The frame with this number, 0 to 2: a request for the status with the number as its id. */
  bytes(at: number): Buffer;
  /** A copy with one bit flipped in the byte at `at`. */
  flip(bytes: Buffer, at: number): Buffer;
}

/**
 * Shakes hands as a front end does, makes three frames without sending them, and sends what `make` makes of them.
 * @returns the ids that were answered, the end of the connection, and ways to wait and to leave.
 */
export async function framesOf(
  siege: Siege,
  make: (frames: Frames) => readonly Buffer[],
): Promise<{ answers: number[]; ended: Promise<true>; until(count: number): Promise<number[]>; end(): void }> {
  const socket = await siege.socket();
  const channel = await greetPeer(socket, siege.key());
  const answers: number[] = [];
  let heard: () => void = () => {};
  const ended = new Promise<true>((resolve) => {
    channel.open({
      message: (text) => {
        answers.push(AnswerSchema.parse(JSON.parse(text)).id);
        heard();
      },
      closed: () => resolve(true),
    });
  });
  const send = socket.write.bind(socket);
  const made: Buffer[] = [];
  socket.write = (chunk: Uint8Array | string): boolean => {
    made.push(Buffer.from(chunk as Uint8Array));
    return true;
  };
  for (const id of [0, 1, 2]) channel.send(JSON.stringify({ id, op: 'status', params: {} }));
  socket.write = send;
  const bytes = (at: number): Buffer => made[at] ?? Buffer.alloc(0);
  const flip = (frame: Buffer, at: number): Buffer => {
    const copy = Buffer.from(frame);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  for (const piece of make({ bytes, flip })) send(piece);
  return {
    answers,
    ended,
    async until(count) {
      while (answers.length < count) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
      return answers;
    },
    end: () => channel.destroy(),
  };
}
