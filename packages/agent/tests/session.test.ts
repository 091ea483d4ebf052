import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { FrameReader, FrameWriter } from '../index.ts';

const refused = (field: string) => (error: unknown) =>
  error instanceof KeysteadError && error.code === 'session.frame-refused' && error.field === field;
const pair = (): { writer: FrameWriter; reader: FrameReader; key: SecretBytes } => {
  const key = SecretBytes.random(32);
  return { key, writer: new FrameWriter(key, 'device to service'), reader: new FrameReader(key, 'device to service') };
};

test('messages of any content come out in order as they went in', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (messages) => {
      const { writer, reader } = pair();
      for (const message of messages)
        assert.deepEqual(Buffer.from(reader.open(writer.seal(message))), Buffer.from(message));
    }),
  );
});

test('a frame that was played back, left out, or of another direction or session is refused', () => {
  const { writer, reader, key } = pair();
  const first = writer.seal(Buffer.from('one'));
  const second = writer.seal(Buffer.from('two'));
  assert.throws(() => reader.open(second), refused('counter'));
  reader.open(first);
  assert.throws(() => reader.open(first), refused('counter'));
  const turned = new FrameWriter(key, 'service to device');
  turned.seal(Buffer.from('x'));
  assert.throws(() => reader.open(turned.seal(Buffer.from('two'))), refused('seal'));
  const stranger = pair().writer;
  stranger.seal(Buffer.from('x'));
  assert.throws(() => reader.open(stranger.seal(Buffer.from('two'))), refused('seal'));
  assert.equal(Buffer.from(reader.open(second)).toString(), 'two', 'a refused frame does not count');
});

test('any flipped bit and any truncation of a frame is refused', () => {
  const { writer, reader } = pair();
  const frame = writer.seal(Buffer.from('dose 5 ml'));
  for (let bit = 0; bit < frame.length * 8; bit += 1) {
    const flipped = Uint8Array.from(frame);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => reader.open(flipped), KeysteadError);
  }
  for (let length = 0; length < frame.length; length += 1)
    assert.throws(() => reader.open(frame.subarray(0, length)), KeysteadError);
  reader.open(frame);
});
