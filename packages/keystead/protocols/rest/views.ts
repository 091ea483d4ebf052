/** A certificate as the REST interface gives it out. */
export interface IssuedView {
  /** PEM. */
  readonly certificate: string;
  /** PEM: the intermediates and the anchor above it. */
  readonly chain: string;
  readonly serial: string;
  readonly notAfter: string;
}

export interface UnitView extends IssuedView {
  /** The provisioning record, YAML, exactly the bytes that are signed. */
  readonly record: string;
  /** DER ECDSA signature over the record, base64. */
  readonly signature: string;
  /** Where operators have its birth certificate, once the published log has its record; a station is told of none. */
  readonly birthCertificate?: string;
  /** The key that keyd made for the unit, wrapped to it: CMS, DER, base64. */
  readonly envelope?: string;
}
