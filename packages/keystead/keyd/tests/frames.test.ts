import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder, MAX_FRAME_BYTES } from '../frames.ts';

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 12 }), fc.array(fc.nat(40), { maxLength: 60 }), (messages, cuts) => {
      const stream = Buffer.concat(messages.map((message) => encodeFrame([message])));
      const decoder = new FrameDecoder();
      const out: Buffer[] = [];
      let at = 0;
      for (const cut of [...cuts, stream.length]) {
        out.push(...decoder.push(stream.subarray(at, at + cut)).map((frame) => Buffer.from(frame)));
        at = Math.min(stream.length, at + cut);
      }
      assert.deepEqual(
        out,
        messages.map((message) => Buffer.from(message)),
      );
      assert.equal(decoder.partial, false);
    }),
  );
});

test('a length of nothing or of too much is refused when its four bytes are there, before any memory is given to it', () => {
  for (const length of [0, MAX_FRAME_BYTES + 1, 0x7fff_ffff, 0xffff_ffff]) {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(length);
    const decoder = new FrameDecoder();
    assert.deepEqual(decoder.push(header.subarray(0, 3)), []);
    assert.throws(() => decoder.push(header.subarray(3)), { code: 'keyd.frame-refused' });
  }
  assert.throws(() => encodeFrame([new Uint8Array(MAX_FRAME_BYTES), new Uint8Array(1)]), {
    code: 'keyd.frame-refused',
  });
});

test('the largest frame in pieces of one kilobyte is joined once, not once for each piece', () => {
  const frame = encodeFrame([Buffer.alloc(MAX_FRAME_BYTES, 7)]);
  const decoder = new FrameDecoder();
  const started = process.cpuUsage();
  let out: Buffer[] = [];
  for (let at = 0; at < frame.length; at += 1024) out = decoder.push(frame.subarray(at, at + 1024));
  const { user, system } = process.cpuUsage(started);
  assert.equal(out[0]?.length, MAX_FRAME_BYTES);
  // Joining at each of 8192 pieces would move 32 GiB.
  assert.ok(user + system < 2_000_000, `${user + system} µs`);
});

test('no bytes make the decoder throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
      const decoder = new FrameDecoder();
      try {
        for (const chunk of chunks) decoder.push(chunk);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'keyd.frame-refused');
      }
    }),
  );
});
