import { integer, namedBits, sequence, utf8String } from '../der/writer.ts';
import { TSP_FAILURES, type TspFailure } from './oids.ts';

/** PKIStatus (RFC 3161 section 2.4.2). */
const GRANTED = 0;
const REJECTION = 2;

/** A TimeStampResp with a token, DER. */
export const timestampResponse = (token: Uint8Array): Uint8Array => sequence(sequence(integer(GRANTED)), token);

/** A TimeStampResp without one, DER. @param why for a person; never a secret. */
export const timestampRejection = (failure: TspFailure, why: string): Uint8Array =>
  sequence(sequence(integer(REJECTION), sequence(utf8String(why)), namedBits([TSP_FAILURES[failure]])));
