/** What a client names (RFC 8555 section 9.7.7), as it came. */
export interface Identifier {
  readonly type: string;
  readonly value: string;
}
