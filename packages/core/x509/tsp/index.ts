export {
  IMPRINT_HASH_NAMES,
  IMPRINT_HASHES,
  type ImprintHash,
  MOST_NONCE_OCTETS,
  TST_INFO,
  type TspFailure,
} from './oids.ts';
export { MAX_TSP_REQUEST_BYTES, parseTimestampRequest, type TimestampRequest } from './request.ts';
export { timestampRejection, timestampResponse } from './response.ts';
export { type TimestampFacts, type TimestampSigner, timestampAttributes, timestampToken, tstInfo } from './token.ts';
