import type { Serial } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type ErrorCode, KeysteadError } from '@keystead/core/errors';
import {
  parseTimestampRequest,
  type TimestampRequest,
  type TspFailure,
  timestampRejection,
  timestampResponse,
} from '@keystead/core/x509';
import { Rate, type RateBound } from './rate.ts';

/** Who makes the tokens: keyd. */
export interface TspDomain {
  readonly clock: Clock;
  stamp(request: TimestampRequest, requestId: string): Promise<{ token: Uint8Array; serial: Serial; time: Date }>;
}

/** Half of what the slowest token on the list signs; far above what builds and devices ask for. */
const BOUND: RateBound = { burst: 40, perSecond: 20 };

/** What of keyd's and the reader's errors the protocol has words for (RFC 3161 section 2.4.2). */
const FAILURES: Partial<Record<ErrorCode, TspFailure>> = {
  'tsp.malformed': 'badDataFormat',
  'tsp.hash-unsupported': 'badAlg',
  'tsp.policy-unknown': 'unacceptedPolicy',
  'tsp.extension-unknown': 'unacceptedExtension',
  'clock.went-back': 'timeNotAvailable',
};

/** What came of one request. */
export interface TspAnswer {
  /** TimeStampResp, DER. */
  readonly der: Uint8Array;
  /** Of the token; undefined for a rejection. */
  readonly serial?: Serial;
  /** Why there is no token. */
  readonly error?: KeysteadError;
}

/** Answers TimeStampReqs, each by a TimeStampResp: a rejection is an answer too. */
export class TspResponder {
  readonly #domain: TspDomain;
  readonly #rate: Rate;

  constructor(domain: TspDomain, bound = BOUND) {
    this.#domain = domain;
    this.#rate = new Rate(domain.clock, bound);
  }

  /**
   * The answer to one request.
   * @throws KeysteadError `tsp.busy`; what is not a KeysteadError is nobody's fault but ours and comes out as it is.
   */
  async answer(der: Uint8Array, requestId: string): Promise<TspAnswer> {
    try {
      const request = parseTimestampRequest(der);
      if (!this.#rate.take()) throw new KeysteadError('tsp.busy', { field: 'request' });
      const { token, serial } = await this.#domain.stamp(request, requestId);
      return { der: timestampResponse(token), serial };
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.code === 'tsp.busy') throw error;
      const failure = FAILURES[error.code] ?? 'systemFailure';
      // What went wrong inside is for the log; a stranger hears what they can change.
      const why = FAILURES[error.code] === undefined ? 'no time stamp can be made now' : error.message;
      return { der: timestampRejection(failure, why), error };
    }
  }
}
