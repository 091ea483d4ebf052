export { type DecodedBundle, decodeBundle, encodeBundle, MAX_BUNDLE_BYTES, MAX_ENTRY_BYTES } from './bundle.ts';
export {
  type Checkpoint,
  type CheckpointKeys,
  checkpointNote,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  type SignedCheckpoint,
} from './checkpoint.ts';
export { Frontier, type FrontierState } from './frontier.ts';
export { emptyRoot, HASH_BYTES, leafHash, nodeHash } from './hash.ts';
export {
  cosignNote,
  MAX_NOTE_LENGTH,
  type NoteSignature,
  type NoteSigner,
  openNote,
  type ParsedNote,
  parseNote,
  signNote,
  type VerifiedSignature,
} from './note.ts';
export { consistencyProof, type HashReader, inclusionProof, verifyConsistency, verifyInclusion } from './proof.ts';
export { decodeTile, encodeTile, subtreeRoot, type TileReader, tileHashReader } from './tile.ts';
export { type BundleReader, TileBuilder, type TileFile } from './tile-builder.ts';
export {
  levelSize,
  parseTilePath,
  TILE_HEIGHT,
  TILE_WIDTH,
  type TileLevel,
  type TileName,
  tilePath,
  tileWidth,
} from './tile-path.ts';
export {
  formatVerifierKey,
  isKeyName,
  type NoteSignatureType,
  parseVerifierKey,
  parseVerifierKeys,
  type VerifierKey,
  verifierKey,
} from './verifier-key.ts';
